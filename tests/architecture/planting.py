"""Planting an offence in a copy of the tree, to see that a rule finds it."""

import shutil
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Offence:
    """Text that a file has more than it should, or has instead of what it `replaces`."""

    path: str
    text: str
    replaces: str | None = None


@contextmanager
def planted(tree: Path, *offences: Offence) -> Generator[None]:
    """The tree with these offences; without them again at the end."""
    with ExitStack() as undoing:
        for offence in offences:
            path = tree / offence.path
            if path.exists():
                source = path.read_text()
                undoing.callback(path.write_text, source)
            else:
                source = ""
                if not path.parent.exists():
                    path.parent.mkdir(parents=True)
                    # With the caches of programs that ran in the tree.
                    undoing.callback(shutil.rmtree, path.parent)
                undoing.callback(path.unlink)
            if offence.replaces is None:
                path.write_text(f"{source}\n{offence.text}\n")
            else:
                assert offence.replaces in source, f"{offence.path} no longer says {offence.replaces}"
                path.write_text(source.replace(offence.replaces, offence.text))
        yield
