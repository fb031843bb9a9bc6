"""Planted bugs: each is put into a copy of the checkout, where the tests that guard against it have to fail."""
