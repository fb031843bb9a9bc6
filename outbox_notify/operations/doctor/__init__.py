"""What is wrong with everything that a relay depends on: one module a subject, one function a check."""
