"""The command line: `python -m app`, and the script `taller`."""

import gc

<<<<<<< HEAD
# Imports create many objects and hardly any garbage: with the garbage collector on, starting takes a sixth longer.
=======
# Imports make many objects and hardly any garbage: to look for it all the while would take a sixth of the start. What
# runs for long enables it.
>>>>>>> 0114f9e (The command is built on Click: version, completion, tables and JSON, users activate and demote, keys list; it starts in 0.07 s; each fault of the database, of a directory or a port is one line with the way on; migrate says what it did)
gc.disable()
from app.cli.main import main  # noqa: E402

if __name__ == "__main__":
    main()
