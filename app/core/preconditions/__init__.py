"""Conditional requests: entity tags, `If-Match` and `If-None-Match`."""
