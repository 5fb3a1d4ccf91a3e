"""The command `taller`."""
