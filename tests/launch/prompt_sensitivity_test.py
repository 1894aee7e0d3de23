# SPDX-License-Identifier: Apache-2.0
"""The prompts' comparison, whole, with a tiny judge."""

import json
import pathlib

import pytest

from configs import prompt_sensitivity
from data_efficient.data import score_sets
from launch import local
from tests import quickstarts

CONFIG = "configs/prompt_sensitivity.py"


@pytest.fixture
def arguments(experiment, tmp_path):
  (model,) = (experiment.root / "corpus/vocabulary").rglob("*.model")
  corpus = tmp_path / "corpus.gin"
  corpus.write_text(
    f"include 'gin/data/files.gin'\nFILES = '{experiment.files}'\n"
  )
  settings = {
    "judge": experiment.root / "models/teach_judge",
    "vocabulary": model,
    "kind": "t5_tiny",
    "model": experiment.root.parent / "gin/model.gin",
    "corpus": corpus,
    "tokens": 400,
    "output": tmp_path / "out",
  }
  return [f"--{name}={value}" for name, value in settings.items()]


def test_five_prompts_are_compared(arguments, tmp_path):
  words = [word.removeprefix("--").split("=", 1) for word in arguments]
  for job in prompt_sensitivity.jobs(**dict(words)):
    assert quickstarts.run_job(job) == 0, job.command()
    assert all(pathlib.Path(path).is_file() for path in job.leaves)
  found = json.loads((tmp_path / "out/agreement.json").read_text())
  assert len(found["pairs"]) == 10 and len(found["auc"]) == 5
  assert all(-1 <= pair["kendall"] <= 1 for pair in found["pairs"])
  identities = {
    path.name: score_sets.ScoreSet.open(path).identity["scorer"]["question"]
    for path in (tmp_path / "out/scores").iterdir()
  }
  prompts = {json.dumps(found["prompt"]) for found in identities.values()}
  assert len(prompts) == 5


def test_a_job_that_fails_is_named(arguments, tmp_path, capsys):
  config = tmp_path / "config.py"
  config.write_text(
    "from data_efficient.cli.jobs import Job\n"
    "def jobs(*, output):\n"
    "  return [Job(name='lost', verb='report', gin_files=('no.gin',),\n"
    "              bindings={'OUTPUT': output})]\n"
  )
  assert local.main([str(config), f"--output={tmp_path / 'out'}"]) == 2
  error = capsys.readouterr().err
  assert "lost failed (exit 2)" in error and "no.gin not found" in error


def test_a_dry_run_prints_the_commands_and_runs_none(
  arguments, tmp_path, capsys
):
  assert local.main([CONFIG, *arguments, "--dry_run"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 6
  assert lines[0].startswith("python -m data_efficient score ")
  assert "gin/scorers/prompts/short.gin" in "".join(lines)
  assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
  "words, message",
  [
    ([CONFIG], "--judge is missing"),
    (
      [CONFIG, "--judge=x", "--vocabulary=y", "--promt=z"],
      "--promt is unknown",
    ),
    ([CONFIG, "judge"], "judge: expected --NAME=VALUE"),
    (["configs/nothing.py"], "no such config"),
  ],
)
def test_mistakes_are_named(words, message, capsys):
  assert local.main(words) == 2
  assert message in capsys.readouterr().err
