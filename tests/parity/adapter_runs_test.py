# SPDX-License-Identifier: Apache-2.0
"""Runs that train an adapter: their steps, their checkpoints, their base."""

import dataclasses
import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.models import (
  adapter_files,
  adapters,
  checkpoints,
  networks,
)
from data_efficient.models.parameter_trees import CheckpointError
from data_efficient.training import (
  finetuning,
  local,
  metrics,
  optimizers,
)
from data_efficient.training.run import RunError
from data_efficient.training.t5x import T5X, T5XError
from tests.networks import llama
from tests.training import fakes

ENGINE = local.Local(model_parallel=1, microbatches=1, log_period=1)
LORA = adapters.Lora(rank=2, alpha=8.0, dropout_rate=0.2)
ADAMW = optimizers.adamw(b1=0.9, b2=0.99, epsilon=1e-8, weight_decay=0.1)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
  """A checkpoint, and its parameters."""
  directory = tmp_path_factory.mktemp("base") / "checkpoint"
  parameters = networks.init_parameters(fakes.CONFIG, jax.random.key(7))
  checkpoints.save_parameters(directory, parameters)
  return directory, parameters


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
  """A finished run of four steps."""
  run = _adapting(
    fakes.run(str(tmp_path_factory.mktemp("trained")), steps=4), base[0]
  )
  ENGINE.train(run)
  return run


def _adapting(run, checkpoint, **changes):
  return finetuning.finetuning(
    run=run,
    checkpoint=str(checkpoint),
    dropout_rate=None,
    schedule=optimizers.constant(learning_rate=0.01),
    **{"optimizer": ADAMW, "adapter": LORA} | changes,
  )


def _adapter(run):
  """What its last checkpoint holds."""
  (item,) = sorted(
    pathlib.Path(run.directory, "checkpoints").glob(f"{run.steps}/state")
  )
  return checkpoints.ocp.StandardCheckpointer().restore(item)["parameters"]


def test_a_run_leaves_its_adapter_alone_and_says_of_what(trained, base):
  record = json.loads(
    pathlib.Path(trained.directory, "adapter.json").read_text()
  )
  assert record["lora"] == {
    **{"rank": 2, "alpha": 8.0, "dropout_rate": 0.2},
    "targets": ["all-linear"],
  }
  assert record["base"]["checkpoint"] == str(base[0])
  kept = _adapter(trained)
  shapes = adapters.shapes(fakes.CONFIG, LORA)
  assert jax.tree.map(jnp.shape, kept) == jax.tree.map(jnp.shape, shapes)
  assert any(np.any(leaf) for leaf in jax.tree.leaves(kept))
  losses = [
    row["loss"] for row in metrics.read(trained.directory) if "hq" in str(row)
  ]
  assert losses[-1] < losses[0]


@pytest.mark.parametrize("below", ["", "checkpoints", "checkpoints/4"])
def test_its_parameters_are_the_merged_ones(trained, base, below):
  found = checkpoints.load_parameters(
    pathlib.Path(trained.directory, below), config=trained.network
  )
  expected = adapters.merged(base[1], _adapter(trained), LORA)
  jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_resumed_run_equals_an_uninterrupted_one(trained, base, tmp_path):
  halves = dataclasses.replace(trained, directory=str(tmp_path / "halves"))
  ENGINE.train(dataclasses.replace(halves, steps=2))
  ENGINE.train(halves)
  jax.tree.map(
    np.testing.assert_array_equal, _adapter(halves), _adapter(trained)
  )


def test_an_adapter_of_another_base_is_refused(trained, base, tmp_path):
  other = tmp_path / "other"
  parameters = networks.init_parameters(fakes.CONFIG, jax.random.key(8))
  checkpoints.save_parameters(other, parameters)
  # A run that goes on, from another checkpoint.
  longer = dataclasses.replace(trained, steps=6, initial_checkpoint=str(other))
  match = rf"{trained.directory}: .* of {base[0]} \(.*but .* is {other} \("
  with pytest.raises(CheckpointError, match=match):
    ENGINE.train(longer)
  # A copy of the run whose base was exchanged, or is lost.
  moved = _copied(trained, tmp_path / "moved", str(other))
  with pytest.raises(CheckpointError, match=f"the base at hand is {other}"):
    checkpoints.load_parameters(moved, config=trained.network)
  lost = _copied(trained, tmp_path / "lost", str(tmp_path / "gone"))
  with pytest.raises(CheckpointError, match="gone, which is not there"):
    checkpoints.load_parameters(lost, config=trained.network)


def _copied(run, place, checkpoint):
  shutil.copytree(run.directory, place)
  path = place / "adapter.json"
  record = adapter_files.read(path)
  base = record.base._replace(checkpoint=checkpoint)
  path.write_bytes(record._replace(base=base).encoded())
  return place


def test_a_directory_of_another_kind_is_refused(trained, base, tmp_path):
  full = _adapting(
    fakes.run(str(tmp_path / "full"), steps=2), base[0], adapter=None
  )
  kept = pathlib.Path(full.directory, "checkpoints")
  kept.mkdir(parents=True)
  shutil.copytree(base[0], kept / "1")
  for run, match in (
    (_adapting(full, base[0]), "trained all parameters, this one .*Lora"),
    (
      dataclasses.replace(trained, adapter=None),
      "trained Lora.*, this one trains all parameters",
    ),
    (
      dataclasses.replace(trained, adapter=dataclasses.replace(LORA, rank=3)),
      "rank=2.*rank=3",
    ),
  ):
    with pytest.raises(RunError, match=match):
      ENGINE.train(run)


def test_an_adapter_needs_a_base(tmp_path):
  with pytest.raises(RunError, match="name it, INITIAL_CHECKPOINT"):
    fakes.run(str(tmp_path / "baseless"), adapter=LORA)


def test_t5x_says_that_it_trains_no_adapter(tmp_path, base):
  engine = T5X(model_parallel=1, log_period=1)
  with pytest.raises(T5XError, match="no adapter: choose the engine `local`"):
    engine.train(_adapting(fakes.run(str(tmp_path / "a")), base[0]))
  with pytest.raises(T5XError, match="Adafactor alone"):
    engine.train(
      _adapting(fakes.run(str(tmp_path / "b")), base[0], adapter=None)
    )


def test_a_network_without_dropout_is_told(tmp_path):
  run = fakes.run(str(tmp_path / "decoder"), network=llama(vocab_size=384))
  with pytest.raises(RunError, match="DecoderConfig has no dropout"):
    finetuning.finetuning(
      run=run,
      checkpoint="x",
      dropout_rate=0.1,
      schedule=optimizers.constant(learning_rate=0.1),
    )


def test_norms_and_biases_do_not_decay():
  optimizer = ADAMW(optimizers.constant(learning_rate=1.0))
  parameters = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
  gradients = jax.tree.map(jnp.zeros_like, parameters)
  state = optimizer.init(parameters)
  updates, _ = optimizer.update(gradients, state, parameters)
  np.testing.assert_allclose(updates["kernel"], -0.1 * np.ones((2, 2)))
  np.testing.assert_allclose(updates["bias"], 0.0)


@pytest.mark.parametrize(
  "changes, match",
  [
    ({"b1": 1.0}, r"b1 = 1.0, .* expected \[0, 1\)"),
    ({"epsilon": 0.0}, "epsilon = 0.0"),
    ({"weight_decay": -1.0}, "weight_decay = -1.0"),
  ],
)
def test_numbers_out_of_range_are_named(changes, match):
  numbers = {"b1": 0.9, "b2": 0.9, "epsilon": 1e-8, "weight_decay": 0.0}
  with pytest.raises(ValueError, match=match):
    optimizers.adamw(**numbers | changes)
