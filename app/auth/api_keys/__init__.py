"""API keys, with which programs authenticate."""
