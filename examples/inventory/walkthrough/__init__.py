"""`make example`: the service, the relay and the consumer on embedded servers, tried out step by step."""
