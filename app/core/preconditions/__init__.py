"""Conditional requests: entity tags, and what `If-Match` and `If-None-Match` ask for."""
