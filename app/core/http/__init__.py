"""The HTTP layer: protocol, middleware, routing, problem responses and the OpenAPI document."""
