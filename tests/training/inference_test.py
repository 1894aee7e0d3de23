# SPDX-License-Identifier: Apache-2.0
"""Scores and predictions by the local engine; T5X's are in tests/t5x."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
import seqio

from data_efficient.models import checkpoints, networks
from data_efficient.training import batches, inference, local, metrics
from tests import networks as small

ENGINE = local.Local(model_parallel=1, microbatches=1, log_period=1)


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
  directory = str(tmp_path_factory.mktemp("trained") / "run")
  found = dataclasses.replace(run, directory=directory)
  ENGINE.train(found)
  return found


@pytest.fixture
def infer(trained, run_in):
  """`infer(mode)`: the rows for the trained model."""

  def call(mode: str):
    asked = inference.inference(
      run=run_in(mode),
      checkpoint=trained.directory,
      evaluation="hq",
      mode=mode,
    )
    ENGINE.infer(asked)
    return inference.read(asked.directory)

  return call


def test_scores_are_log_likelihoods_with_the_end(infer, trained):
  rows = infer("score")
  # Ten examples in batches of four: the last one is filled, and cut again.
  assert [row["inputs"] for row in rows] == [
    f"line {number} of a small corpus"[:23] for number in range(10)
  ]
  tokens = sum(len(row["targets"]) + 1 for row in rows)
  last = [r for r in metrics.read(trained.directory) if "evaluation" in r][-1]
  assert last["step"] == trained.steps
  assert -sum(row["score"] for row in rows) / tokens == pytest.approx(
    last["loss"], rel=1e-5
  )


def _slowly(run, text):
  """Greedy decoding without a cache: the whole prefix at every token."""
  lengths = run.task_feature_lengths
  source = np.zeros((1, lengths["inputs"]), np.int32)
  ids = [*seqio.ByteVocabulary().encode(text), 1]
  source[0, : len(ids)] = ids
  parameters = checkpoints.load_parameters(run.directory, config=run.network)
  call = jax.jit(functools.partial(networks.logits, run.network, dropout=None))
  found = np.zeros((1, lengths["targets"]), np.int32)
  for position in range(found.shape[1]):
    batch = {
      "encoder_input_tokens": source,
      "decoder_input_tokens": np.pad(found, [(0, 0), (1, 0)])[:, :-1],
      # Only for the mask of the padding.
      "decoder_target_tokens": np.ones_like(found),
    }
    found[0, position] = np.argmax(call(parameters, batch)[0, position])
    if found[0, position] == 1:
      break
  return [int(token) for token in found[0] if token]


def test_predictions_are_greedy(infer, trained):
  rows = infer("predict")
  assert len(rows) == 10
  for row in (rows[0], rows[-1]):
    assert row["prediction_tokens"] == _slowly(trained, row["inputs"])
    assert isinstance(row["prediction"], str)


def _continued(run, prompt):
  """Greedy decoding by a decoder without a cache or padding in the way."""
  parameters = checkpoints.load_parameters(run.directory, config=run.network)
  call = jax.jit(functools.partial(networks.logits, run.network, dropout=None))
  found = []
  while len(found) < run.task_feature_lengths["targets"] and 1 not in found:
    ids = [*prompt, *found]
    tokens = np.full((1, 56), -1, np.int32)
    tokens[0, : len(ids)] = ids
    batch = {"decoder_input_tokens": tokens, "decoder_target_tokens": tokens}
    logits = np.asarray(call(parameters, batch))
    found.append(int(np.argmax(logits[0, len(ids) - 1])))
  return found


def test_decoders_predict_what_follows_their_inputs(run, tmp_path):
  trained = dataclasses.replace(
    run,
    network=small.llama(vocab_size=384),
    directory=str(tmp_path / "run"),
    task_feature_lengths={"inputs": 40, "targets": 8},
  )
  # Random parameters, of which no two tokens in a row are alike.
  parameters = networks.init_parameters(trained.network, jax.random.key(0))
  checkpoints.save_parameters(trained.directory, parameters)
  asked = inference.inference(
    run=trained,
    checkpoint=trained.directory,
    evaluation="hq",
    mode="predict",
  )
  ENGINE.infer(asked)
  rows = inference.read(asked.directory)
  assert len(rows) == 10
  vocabulary = seqio.ByteVocabulary()
  for row in (rows[0], rows[-1]):
    inputs = [*vocabulary.encode(row["inputs"]), 1]
    read = next(
      found
      for batch in batches.evaluation(trained)["hq"]
      for found in batch["decoder_input_tokens"].tolist()
      if inputs == [i for i in found if i > 0][: len(inputs)]
    )
    # What a network is trained to continue: all before the targets.
    prompt = read[: read.index(inputs[0])] + inputs
    expected = _continued(trained, prompt)
    assert row["prediction_tokens"] == expected
    assert isinstance(row["prediction"], str)


def test_what_cannot_be_asked_is_refused(run):
  for changes, message in (
    ({"evaluation": "other"}, "no evaluation set 'other'.*hq"),
    ({"mode": "guess"}, "mode is 'guess', expected one of score, predict"),
  ):
    wanted = {"checkpoint": "x", "evaluation": "hq", "mode": "score"}
    with pytest.raises(ValueError, match=message):
      inference.inference(run=run, **wanted | changes)
