"""The command line: `python -m app`, and the script `taller`."""

import gc

# Imports create many objects and hardly any garbage: with the garbage collector on, starting takes a sixth longer.
gc.disable()
from app.cli.main import main  # noqa: E402

gc.enable()

if __name__ == "__main__":
    main()
