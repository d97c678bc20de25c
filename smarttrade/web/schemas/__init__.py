"""What the API is, told to programs and people: `/openapi.json`, `/asyncapi.json`, `/docs`."""
