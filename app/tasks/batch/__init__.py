"""Many changes of one project's tasks in one request."""
