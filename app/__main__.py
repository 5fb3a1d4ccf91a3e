"""The command line: `python -m app`, and the script `taller`."""

import gc

# Imports create many objects and hardly any garbage: with the garbage collector on, starting takes a sixth longer. What
# runs for long enables it.
gc.disable()
from app.cli.main import main  # noqa: E402

if __name__ == "__main__":
    main()
