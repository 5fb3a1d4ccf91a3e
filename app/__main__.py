"""The command line: `python -m app`, and the script `taller`."""

import gc

# Imports make many objects and hardly any garbage: to look for it all the while would take a sixth of the start.
gc.disable()
from app.cli.main import main  # noqa: E402

gc.enable()

if __name__ == "__main__":
    main()
