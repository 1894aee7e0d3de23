# SPDX-License-Identifier: Apache-2.0
"""Runs that start from a checkpoint, by the local engine."""

import functools

import jax
import pytest

from data_efficient.kernels import likelihood
from data_efficient.models import checkpoints, networks
from data_efficient.models.parameter_trees import CheckpointError
from data_efficient.training import (
  batches,
  finetuning,
  local,
  metrics,
  optimizers,
  step,
)

ENGINE = local.Local(model_parallel=1, microbatches=1, log_period=1)


def _tuned(run, checkpoint):
  return finetuning.finetuning(
    run=run,
    checkpoint=str(checkpoint),
    dropout_rate=0.1,
    schedule=optimizers.constant(learning_rate=0.001),
  )


def test_a_run_starts_from_the_checkpoint(run_in, tmp_path):
  run = _tuned(run_in("tuned", steps=2), tmp_path / "checkpoint")
  assert run.network.dropout_rate == 0.1
  # Of another seed than the run's.
  parameters = networks.init_parameters(run.network, jax.random.key(7))
  checkpoints.save_parameters(tmp_path / "checkpoint", parameters)
  ENGINE.train(run)
  total = likelihood.empty()
  sums = jax.jit(functools.partial(step.evaluation_step, network=run.network))
  for batch in batches.evaluation(run)["hq"]:
    total = likelihood.merge(total, sums(parameters, batch))
  rows = metrics.read(run.directory)
  losses = [row["loss"] for row in rows if "evaluation" in row]
  assert losses[0] == pytest.approx(float(likelihood.means(total).loss))
  assert losses[-1] != losses[0]
  rates = {row["learning_rate"] for row in rows if "learning_rate" in row}
  assert [*rates] == [pytest.approx(0.001)]


def test_a_checkpoint_that_is_not_there_is_named(run_in, tmp_path):
  with pytest.raises(CheckpointError, match="nothing: no such checkpoint"):
    ENGINE.train(_tuned(run_in("lost"), tmp_path / "nothing"))
