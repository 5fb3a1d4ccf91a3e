"""The running service keeps what its OpenAPI document promises, whatever is sent."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.core.migrations import ROOT
from tests.support.process import running_service

ENVIRONMENT = {
    # The token is fetched once and has to outlive the run.
    "TALLER_ACCESS_TOKEN_LIFETIME": "86400",
    # Wrong passwords are part of what is tried.
    "TALLER_LOGIN_FAILURES_PER_ACCOUNT": "100000",
    "TALLER_LOGIN_FAILURES_PER_ADDRESS": "100000",
    "TALLER_REGISTRATIONS_PER_ADDRESS": "100000",
    # So that the headers are there to be held to the document.
    "TALLER_RATE_LIMIT": "1000000/60",
    "TALLER_RATE_LIMIT_LOGIN": "1000000/60",
}

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


# 10 seconds, but several times that where other tests want the processors too.
@pytest.mark.timeout(120)
def test_no_answer_breaks_the_openapi_document(server_url: str, tmp_path: Path) -> None:
    with running_service(server_url, environment=ENVIRONMENT) as service:
        found = subprocess.run(  # noqa: S603 - our own program
            [
                str(Path(sys.executable).with_name("schemathesis")),
                f"--config-file={CONFIGURATION}",
                "--no-color",
                "run",
                f"{service.url}/openapi.json",
            ],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "TALLER_URL": service.url, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        if found.returncode != 0:
            pytest.fail(f"{found.stdout}\n{found.stderr}\n{service.log_tail()}", pytrace=False)
