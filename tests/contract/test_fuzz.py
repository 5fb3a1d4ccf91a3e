"""`make fuzz` tries new cases each time, and says how to repeat them."""

import re

import pytest

from tests.contract.fuzz import main

pytestmark = pytest.mark.slow


def test_a_run_names_its_seed_and_how_to_repeat_it(server_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--as=viewer", "--operations=read_task", "--examples=1"]
    main(chosen)
    said = capsys.readouterr().out
    found = re.search(r'^seed (\d+); to repeat this: make fuzz options="(.+)"$', said, re.MULTILINE)
    assert found
    assert set(found[2].split()) == {f"--seed={found[1]}", *chosen}
    assert "as viewer: everything holds" in said


@pytest.mark.parametrize("option", ["--as=nobody", "--seed=x"])
def test_what_cannot_be_tried_is_said(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([option])
    assert option.partition("=")[2] in capsys.readouterr().err
