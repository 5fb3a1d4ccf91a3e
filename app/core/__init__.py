"""The infrastructure that every feature uses. It imports no feature."""
