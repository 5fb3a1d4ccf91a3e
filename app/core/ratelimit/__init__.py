"""Rate limits: how many requests a caller may send in a window of time."""
