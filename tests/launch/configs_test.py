# SPDX-License-Identifier: Apache-2.0
"""The commands of every config; run as a module it writes the golden files."""

import contextlib
import io
import pathlib

import pytest

from launch import local

GOLDEN = pathlib.Path(__file__).parent.parent / "golden/launch"
_PAPER = ["--corpus=c4/*.jsonl", "--vocabulary=V"]
ARGUMENTS = {
  "paper_grid": [*_PAPER, "--judge=J", "--encoder=E"],
  "convergence": [*_PAPER, "--judge=J"],
  "judge_size": [*_PAPER, "--judges=J"],
  "installed_text": [],
  "smoke": ["--corpus=c4/*.jsonl"],
}


def _printed(name: str) -> str:
  with contextlib.redirect_stdout(io.StringIO()) as stream:
    words = [f"configs/{name}.py", *ARGUMENTS[name], "--dry_run"]
    assert local.main(words) == 0
  return stream.getvalue()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_commands_are_those_of_the_golden_file(name):
  assert _printed(name) == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", ["paper_grid", "installed_text"])
def test_full_and_random_are_always_in(name):
  printed = _printed(name)
  assert "runs/full-1-0" in printed and "runs/random-0.4-0" in printed


def test_an_unknown_config_lists_those_that_are_there(capsys):
  assert local.main(["configs/nothing.py"]) == 2
  assert "configs/smoke.py" in capsys.readouterr().err


if __name__ == "__main__":
  for config in ARGUMENTS:
    (GOLDEN / f"{config}.txt").write_text(_printed(config))
