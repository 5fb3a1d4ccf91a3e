"""Lists: what may be asked of one, the one statement that answers it, and its pages."""
