# SPDX-License-Identifier: Apache-2.0
"""Parameters come back as they were saved; anything else is named."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from data_efficient.models import checkpoints, parameter_trees
from data_efficient.models.checkpoints import CheckpointError


def _assert_equal(found, expected):
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  for left, right in zip(
    jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
  ):
    assert left.dtype == jnp.float32
    np.testing.assert_array_equal(left, right)


def _save(directory, tree):
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(pathlib.Path(directory).absolute(), tree)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, parameters):
  directory = tmp_path_factory.mktemp("ours") / "checkpoint"
  checkpoints.save_parameters(directory, parameters)
  return directory


def test_round_trip(saved, parameters, config):
  _assert_equal(checkpoints.load_parameters(saved, config=config), parameters)


def test_last_finished_step_of_a_run(tmp_path, parameters, config):
  older = jax.tree.map(jnp.zeros_like, parameters)
  for step, tree in ((9, older), (10, parameters)):
    directory = tmp_path / "checkpoints" / str(step) / "default"
    _save(directory, {"parameters": tree, "step": jnp.asarray(step)})
  (tmp_path / "checkpoints" / "11.orbax-checkpoint-tmp").mkdir()
  assert checkpoints.latest_step(tmp_path / "checkpoints") == 10
  assert checkpoints.latest_step(tmp_path / "nothing") is None
  for directory in (tmp_path, tmp_path / "checkpoints"):
    found = checkpoints.load_parameters(directory, config=config)
    _assert_equal(found, parameters)
  found = checkpoints.load_parameters(
    tmp_path / "checkpoints" / "9", config=config
  )
  _assert_equal(found, older)


def test_layout_of_t5x_in_bfloat16(tmp_path, parameters, config):
  half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), parameters)
  _save(
    tmp_path / "checkpoint_7" / "state",
    {"target": half, "state": {"x": jnp.ones(1)}},
  )
  found = checkpoints.load_parameters(tmp_path, config=config)
  _assert_equal(
    found, jax.tree.map(lambda leaf: leaf.astype(jnp.float32), half)
  )


def test_shardings_are_obeyed(saved, parameters, config):
  device = jax.devices()[-1]
  place = jax.sharding.SingleDeviceSharding(device)
  found = checkpoints.load_parameters(
    saved, config=config, shardings=jax.tree.map(lambda _: place, parameters)
  )
  assert {leaf.device for leaf in jax.tree.leaves(found)} == {device}


def test_never_overwrites(saved, parameters):
  with pytest.raises(CheckpointError, match="exists already"):
    checkpoints.save_parameters(saved, parameters)


def test_missing_directory(tmp_path, config):
  with pytest.raises(CheckpointError, match="nothing: no such checkpoint"):
    checkpoints.load_parameters(tmp_path / "nothing", config=config)


def test_unknown_format(tmp_path, config):
  (tmp_path / "weights.bin").write_bytes(b"0")
  with pytest.raises(CheckpointError, match="no checkpoint in a known format"):
    checkpoints.load_parameters(tmp_path, config=config)


def test_orbax_of_something_else(tmp_path, config):
  _save(tmp_path / "other", {"weights": jnp.ones(2)})
  with pytest.raises(
    CheckpointError, match=r"Orbax checkpoint of \['weights'\]"
  ):
    checkpoints.load_parameters(tmp_path / "other", config=config)


@pytest.mark.parametrize(
  "change, message",
  [
    (
      {"num_decoder_layers": 3},
      r"14 missing:\n  decoder/layers_2/encoder_decoder_attention/key/kernel",
    ),
    (
      {"num_encoder_layers": 1},
      r"9 surplus:\n  encoder/layers_1/attention/key/kernel[\s\S]* 1 more",
    ),
    ({"mlp_dim": 32}, r"wi_0/kernel is \(16, 24\), expected \(16, 32\)"),
    ({"vocab_size": 41}, "holds 40 vocabulary entries, the network expects 41"),
  ],
)
def test_another_network_is_refused(change, message, saved, config):
  with pytest.raises(CheckpointError, match=message):
    checkpoints.load_parameters(
      saved, config=dataclasses.replace(config, **change)
    )


def test_truncated_data(saved, config, tmp_path):
  copy = tmp_path / "copy"
  for path in saved.rglob("*"):
    if path.is_file():
      target = copy / path.relative_to(saved)
      target.parent.mkdir(parents=True, exist_ok=True)
      data = path.read_bytes()
      target.write_bytes(data[: len(data) // 2] if "/d/" in str(path) else data)
  with pytest.raises(CheckpointError, match=f"{copy}: .*cut short"):
    checkpoints.load_parameters(copy, config=config)


def test_unreadable_metadata(saved, config, tmp_path):
  (tmp_path / "_METADATA").write_text("{")
  with pytest.raises(CheckpointError, match="cut short"):
    checkpoints.load_parameters(tmp_path, config=config)


def test_paths_round_trip(parameters):
  flat = parameter_trees.flatten(parameters)
  assert "encoder/layers_0/mlp/wi_0/kernel" in flat
  json.dumps(sorted(flat))
  _assert_equal(parameter_trees.unflatten(flat), parameters)
