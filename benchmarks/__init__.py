"""What Taller costs, on which data, against whom. See README.md; `make bench` runs it."""
