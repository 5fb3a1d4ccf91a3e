"""Batches: many changes of a project's tasks in one request."""
