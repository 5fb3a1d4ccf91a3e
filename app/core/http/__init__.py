"""From the bytes of a request to an operation, and from what it returns or raises to the bytes of a response."""
