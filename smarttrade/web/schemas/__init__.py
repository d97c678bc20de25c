"""Describes the API, to programs and people: `/openapi.json`, `/asyncapi.json`, `/docs`."""
