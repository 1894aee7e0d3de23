# SPDX-License-Identifier: Apache-2.0
"""Ask-LLM by `infer`, with the local engine; `t5x.infer` is in tests/t5x."""

import json
import re
import shutil

import pytest

from data_efficient.data import score_sets
from tests import asking


@pytest.fixture(scope="module")
def root(tmp_path_factory):
  """A corpus, and its inferences by the local engine."""
  root = tmp_path_factory.mktemp("asked")
  asking.write(root)
  assert asking.infer(root, "local") == 0
  return root


@pytest.fixture
def rows(root):
  """The inferences, to be changed; what was imported of them is gone."""
  path = root / "local/inferences.jsonl"
  kept = path.read_bytes()
  shutil.rmtree(root / "local/scores", ignore_errors=True)
  lines = [json.loads(line) for line in kept.decode().split("\n")[:-1]]

  def change(lines):
    path.write_text("".join(json.dumps(row) + "\n" for row in lines))
    return asking.infer(root, "local")

  yield lines, change
  path.write_bytes(kept)


def test_inferences_are_the_scores_of_our_own_scorer(root):
  theirs = score_sets.ScoreSet.open(root / "local/scores")
  asking.compare(asking.score(root), theirs)
  assert theirs.identity["scorer"]["engine"] == "local"


def test_what_is_done_is_not_done_again(root, capsys):
  manifest = root / "local/scores/manifest.json"
  before = manifest.stat().st_mtime_ns
  assert asking.infer(root, "local") == 0
  assert manifest.stat().st_mtime_ns == before
  assert "done before" in capsys.readouterr().out


FAULTS = {
  "a missing answer": (
    lambda rows: rows[:3] + rows[4:],
    "1 of 60 records of shard .* lack an answer, the first at position 1",
  ),
  "a record twice": (lambda rows: [*rows, rows[0]], "it was there before"),
  "another text": (
    lambda rows: [{**rows[0], "fingerprint": -5}, *rows[1:]],
    "line 1: shard .*, position 0, answer 'yes': the text is not the one",
  ),
  "another shard": (
    lambda rows: [*rows, {**rows[0], "shard": "other"}],
    "the corpus's index has no such record",
  ),
  "a position too far": (
    lambda rows: [*rows, {**rows[0], "position": 60}],
    "the corpus's index has no such record",
  ),
  "another answer": (
    lambda rows: [{**rows[0], "answer": "maybe"}, *rows[1:]],
    "expected one of yes, worthless",
  ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_inferences_that_are_not_the_corpus_are_refused(
  root, rows, fault, capsys
):
  change, message = FAULTS[fault]
  lines, write = rows
  assert write(change(lines)) == 2
  shown = capsys.readouterr().err
  assert re.search(message, shown), shown
  assert not (root / "local/scores/manifest.json").exists()


def test_a_number_that_is_none_is_unscorable(root, rows):
  lines, write = rows
  lines[0]["score"] = float("nan")
  assert write(lines) == 0
  scores = score_sets.ScoreSet.open(root / "local/scores")
  statuses = asking.columns(scores, ["status"])["status"]
  assert list(statuses).count("unscorable(non-finite)") == 1


@pytest.mark.parametrize(
  ("answers", "message"),
  [
    (("worthless",), "answers = ('worthless',): expected 'yes'"),
    (("yes", "maybe"), "maybe others of yes, Yes, YES, worthless"),
  ],
)
def test_answers_of_another_question_are_refused(
  root, answers, message, capsys
):
  assert asking.infer(root, "local", ANSWERS=answers) == 2
  assert message in capsys.readouterr().err
