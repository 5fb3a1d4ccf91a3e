"""What a worker holds once it has started."""

import platform
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process import clean_environment

pytestmark = pytest.mark.slow

AT_MOST = 99 if sys.version_info >= (3, 14) else 89
"""MiB before the first request, with the OpenAPI document; connections and what requests leave behind are 5 more
(benchmarks/README.md). Classes of Python 3.14 take 10 more."""

UNUSED = {"alembic", "cryptography", "zxcvbn", "opentelemetry.sdk"}
"""What a worker has no use for, or none any more: 9, 7, 12 and 20 MiB. FastAPI imports the API of OpenTelemetry."""

PROGRAM = """
import gc
gc.disable()
import sys
from pathlib import Path
from app.cli.serving import application
application()
memory = dict(line.split(":", 1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
print(*(memory[name].split()[0] for name in ("Rss", "AnonHugePages")), *sys.modules)
"""


def test_worker_starts_small_and_without_unused_modules(tmp_path: Path) -> None:
    environment = clean_environment(
        TALLER_ENV="production",
        TALLER_JWT_SECRET=secrets.token_urlsafe(48),
        TALLER_DATABASE_URL="postgresql://taller@127.0.0.1:1/taller",
    )
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - our own program
    resident, large, *modules = done.stdout.split()
    assert int(resident) / 1024 <= AT_MOST
    # Linux collapses pages when it is asked to since 6.1.
    is_asked = tuple(map(int, platform.release().split(".")[:2])) >= (6, 1)
    assert (int(large) > int(resident) / 4) is is_asked
    assert UNUSED.isdisjoint(modules)
