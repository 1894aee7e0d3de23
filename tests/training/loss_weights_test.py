# SPDX-License-Identifier: Apache-2.0
"""The local engine's loss with a task's weights."""

import functools

import jax
import numpy as np
import optax
import pytest

from data_efficient.models import checkpoints, networks
from data_efficient.training import batches, local, metrics, optimizers, step
from tests.training import fakes, weighting
from tests.training.step_test import LANGUAGE_MODEL

ENGINE = local.Local(model_parallel=1, microbatches=1, log_period=1)


def _weighted(weigh):
  name = f"tiny_training_{weigh.__name__}"
  return weighting.task(name, fakes.task("tiny_training", fakes.LINES), weigh)


def _rows(run):
  return [
    {key: row[key] for key in row if "seconds" not in key}
    for row in metrics.read(run.directory)
  ]


def test_weights_of_one_train_to_the_same_bits(run_in):
  short = {"steps": 3, "evaluation_tasks": {}}
  plain = run_in("plain", **short)
  weighted = run_in("ones", task=_weighted(weighting.ones), **short)
  batch = next(batches.training(weighted, start=0))
  assert batch["decoder_loss_weights"].dtype == np.float32
  for run in (plain, weighted):
    ENGINE.train(run)
  assert _rows(plain) == _rows(weighted)
  found = [
    checkpoints.load_parameters(run.directory, config=run.network)
    for run in (plain, weighted)
  ]
  jax.tree.map(np.testing.assert_array_equal, *found)


def test_the_loss_is_the_weighted_mean(run):
  weighted = fakes.run(task=_weighted(weighting.growing))
  batch = next(batches.training(weighted, start=0))
  weights = batch["decoder_loss_weights"]
  assert set(np.unique(weights)) > {0.0, 0.5, 1.0, 1.5}
  optimizer = optimizers.adafactor(run.schedule)
  state = step.initial_state(run.network, optimizer, jax.random.key(0))
  settings = {"network": run.network, "optimizer": optimizer}
  train = functools.partial(step.train_step, **settings, z_loss=0.0, seed=0)
  _, found = jax.jit(train)(state, batch)
  logits = jax.jit(
    lambda parameters: networks.logits(
      run.network, parameters, batch, dropout=None
    )
  )(state.parameters)
  losses = optax.softmax_cross_entropy_with_integer_labels(
    logits, batch["decoder_target_tokens"]
  )
  expected = np.sum(losses * weights) / weights.sum()
  assert float(found.loss) == pytest.approx(float(expected), rel=1e-6)
  assert float(expected) != pytest.approx(
    float(losses[weights > 0].mean()), rel=1e-6
  )


def test_a_decoder_alone_is_weighted_too():
  weighted = fakes.run(
    task=_weighted(weighting.growing), network=LANGUAGE_MODEL
  )
  batch = next(batches.training(weighted, start=0))
  weights, targets = (
    batch["decoder_loss_weights"],
    batch["decoder_target_tokens"],
  )
  for row, tokens in zip(weights, targets, strict=True):
    # The inputs, and padding, do not count.
    expected = np.arange(1, np.count_nonzero(row) + 1) / 2
    end = np.count_nonzero(tokens)
    np.testing.assert_array_equal(row[end - len(expected) : end], expected)
    assert len(expected) == 7  # six letters and the end
