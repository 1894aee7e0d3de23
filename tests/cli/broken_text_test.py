# SPDX-License-Identifier: Apache-2.0
"""`score` on a corpus with broken texts: each costs one record, never the run.

Whatever stands beside a document, its score is the same in every bit.
"""

import json

import numpy as np
import pytest

from data_efficient.cli import score
from data_efficient.data import (
  file_corpus,
  hostile,
  prepared,
  score_sets,
)
from tests.data import splits_test
from tests.scorers import asked

GOOD = [f"document number {n} has some words of its own" for n in range(9)]
STEPS = ("unicode", "markers", "copies", "orders")


def _scored(directory, texts, steps):
  directory.mkdir()
  rows = [json.dumps({"text": text}) + "\n" for text in texts]
  (directory / "one.jsonl").write_text("".join(rows))
  score.score(
    corpus=prepared.Prepared(
      corpus=file_corpus.Files(pattern=str(directory / "*.jsonl")),
      directory=str(directory / "prepared"),
      policy=splits_test.POLICY,  # which is not asked: no splits are made
    ),
    scorer=asked.scorer(
      asked.judge(), asked.question(steps=steps), part_records=4
    ),
    output=str(directory / "scores"),
    splits=None,
  )
  found = score_sets.ScoreSet.open(directory / "scores")
  columns = found.read(["score"])["score"]["one.jsonl"]
  return found, np.asarray(columns)


@pytest.mark.parametrize("steps", [(), STEPS])
def test_broken_texts_cost_themselves_alone(tmp_path, steps, capsys):
  broken = hostile.broken()
  mixed, good_rows = [], []
  # A good one after every other broken one: they share parts and batches.
  for number, text in enumerate(broken.values()):
    if number % 2 == 0 and len(good_rows) < len(GOOD):
      good_rows.append(len(mixed))
      mixed.append(GOOD[len(good_rows) - 1])
    mixed.append(text)
  found, scores = _scored(tmp_path / "mixed", mixed, steps)
  _, alone = _scored(tmp_path / "alone", GOOD, steps)
  assert scores[good_rows].tobytes() == alone.tobytes()
  assert "U+FFFD" in capsys.readouterr().err
  # A status that is not "scored" is read as NaN.
  status = dict(zip(mixed, np.isfinite(scores), strict=True))
  for name in ("empty", "white_space"):
    assert not status[broken[name]]
  for name in ("million_words", "half_pair", "nul", "emoji", "controls"):
    assert status[broken[name]]
  if steps:
    for name in ("million_zero_widths", "million_orders", "zero_width"):
      assert not status[broken[name]]
  assert found.scored == np.isfinite(scores).sum()
