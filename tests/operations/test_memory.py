"""What a worker holds once it has started."""

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process import clean_environment

pytestmark = pytest.mark.slow

AT_MOST = 99 if sys.version_info >= (3, 14) else 92 if sys.version_info >= (3, 13) else 89
"""MiB before the first request, with the OpenAPI document; connections and what requests leave behind are 5 more
(benchmarks/README.md). Python 3.13 takes 2 more, and classes of 3.14 take 10."""

UNUSED = {"alembic", "cryptography", "zxcvbn", "opentelemetry.sdk"}
"""What a worker has no use for, or none any more: 9, 7, 12 and 20 MiB. FastAPI imports the API of OpenTelemetry."""

PROGRAM = '''
import gc
gc.disable()
import sys
from pathlib import Path
import ctypes
import mmap
from app.cli.serving import application


def is_collapsing():
    """Whether this system puts memory on a large page when it is asked to."""
    size = 2 * 1024 * 1024
    memory = mmap.mmap(-1, 2 * size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(b"x" * 2 * size)
    begin = -(-ctypes.addressof(ctypes.c_char.from_buffer(memory)) // size) * size
    return int(ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(size), 25) == 0)


application()
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
smaps = [line.split() for line in Path("/proc/self/smaps").read_text().splitlines()]
large = sum(int(size) for name, size, *_ in smaps if name == "AnonHugePages:")
print(status["VmRSS"].split()[0], large, is_collapsing(), *sys.modules)
'''


def test_worker_starts_small_and_without_unused_modules(tmp_path: Path) -> None:
    environment = clean_environment(
        TALLER_ENV="production",
        TALLER_JWT_SECRET=secrets.token_urlsafe(48),
        TALLER_DATABASE_URL="postgresql://taller@127.0.0.1:1/taller",
    )
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - our own program
    resident, large, is_collapsing, *modules = done.stdout.split()
    assert int(resident) / 1024 <= AT_MOST
    # Linux does since 6.1, unless it is built without, or has no such page free.
    assert int(large) > int(resident) / 4 or not int(is_collapsing)
    assert UNUSED.isdisjoint(modules)
