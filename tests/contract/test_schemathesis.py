"""The running service keeps what its OpenAPI document promises, whatever is sent.

Here as the administrator, who gets furthest. What others are answered is held to the document by the access matrix, and
`make drills` tries new cases as everybody.
"""

from pathlib import Path

import pytest

from app.main import create_app
from tests.access.matrix import operations_of
from tests.contract.fuzz import CONFIGURATION, ENVIRONMENT, run
from tests.support.process import running_service

pytestmark = pytest.mark.slow

_MADE_UP = [
    name
    for name, operation in operations_of(create_app().openapi()).items()
    if operation.takes_preconditions and operation.method != "GET"
]

MADE_UP_TAGS = f"""
[[operations]]
# Tags that are made up match nothing: that most are answered 412 is right.
include-operation-id = {_MADE_UP}
warnings = false
"""

EDGES_ALONE = "\n[phases.fuzzing]\nenabled = false\n[phases.stateful]\nenabled = false\n"
"""`make drills` tries random cases, and the walks of test_schemathesis_state.py get further."""


# 20 seconds, but several times that where other tests want the processors too.
@pytest.mark.timeout(180)
def test_no_answer_breaks_the_openapi_document(server_url: str, tmp_path: Path) -> None:
    configuration = CONFIGURATION.read_text() + MADE_UP_TAGS + EDGES_ALONE
    with running_service(server_url, environment=ENVIRONMENT) as service:
        found = run(service, tmp_path, configuration, {"TALLER_TOKEN": service.token()}, timeout=170)
        if found.returncode != 0:
            pytest.fail(f"{found.stdout}\n{found.stderr}\n{service.log_tail()}", pytrace=False)
