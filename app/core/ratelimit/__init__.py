"""How many requests a caller may send in a while."""
