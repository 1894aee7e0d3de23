# SPDX-License-Identifier: Apache-2.0
"""Scores and predictions through `t5x.infer`, for models of both engines."""

import numpy as np
import pytest

from data_efficient.training import inference
from tests.t5x.tiny import losses, texts


@pytest.fixture(scope="module")
def infer(run_in, engines):
  """`infer(engine, mode, run)`: the rows for the model of a run."""

  def call(name, mode, trained):
    asked = inference.inference(
      run=run_in(f"{name}_{mode}"),
      checkpoint=trained.directory,
      evaluation="hq",
      mode=mode,
    )
    engines[name].infer(asked)
    return inference.read(asked.directory)

  return call


@pytest.mark.parametrize("trained", ["by_t5x", "by_local"])
def test_scores_are_log_likelihoods_with_the_end(trained, infer, request):
  run = request.getfixturevalue(trained)
  theirs, ours = infer("t5x", "score", run), infer("local", "score", run)
  assert len(theirs) == 30
  assert [row["inputs"] for row in theirs] == texts(1, 30)
  assert theirs[7]["targets"] == theirs[7]["inputs"][::-1]
  scores = [[row.pop("score") for row in rows] for rows in (theirs, ours)]
  assert ours == theirs
  np.testing.assert_allclose(scores[1], scores[0], rtol=1e-5)
  # The evaluation had the same 30 examples; a byte is a token, and one ends.
  tokens = sum(len(row["targets"]) + 1 for row in theirs)
  assert -sum(scores[0]) / tokens == pytest.approx(
    losses(run, "hq")[20], rel=1e-5
  )


def test_predictions_are_those_of_the_local_engine(infer, by_local):
  # Which are greedy: tests/training/inference_test.py.
  theirs, ours = (
    infer("t5x", "predict", by_local),
    infer("local", "predict", by_local),
  )
  assert ours == theirs
  assert len({row["prediction"] for row in ours}) > 1
