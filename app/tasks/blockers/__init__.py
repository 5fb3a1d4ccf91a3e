"""Which tasks a task waits for."""
