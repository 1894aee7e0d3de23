# SPDX-License-Identifier: Apache-2.0
"""T5X's format before Orbax, written here by TensorStore and msgpack."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorstore
from flax import serialization

from data_efficient.models import checkpoints, parameter_trees
from data_efficient.models.checkpoints import CheckpointError

KEY = "encoder/layers_1/attention/key/kernel"


def _array(directory, path, values, dtype="float32"):
  """Writes a zarr array in two chunks or more; what the msgpack says of it."""
  values = np.asarray(values, jnp.dtype(dtype))
  chunks = [-(-values.shape[0] // 2), *values.shape[1:]]
  described = {
    "driver": "zarr",
    "dtype": dtype,
    "kvstore": {"driver": "file", "path": path.replace("/", ".")},
    "metadata": {
      "shape": list(values.shape),
      "chunks": chunks,
      "compressor": {"id": "gzip"},
    },
  }
  place = {"driver": "file", "path": str(directory / path.replace("/", "."))}
  store = tensorstore.open(described | {"kvstore": place}, create=True).result()
  store.write(values).result()
  return described


def _write(directory, parameters, dtype="float32", inline=()):
  """A checkpoint; the leaves in `inline` go into the msgpack itself."""
  directory.mkdir(parents=True)
  leaves = {
    name: np.asarray(values)
    if name in inline
    else _array(directory, f"target/{name}", values, dtype)
    for name, values in parameter_trees.flatten(parameters).items()
  }
  _write_tree(directory, parameter_trees.unflatten(leaves))
  return directory


def _write_tree(directory, target):
  state = {"step": np.int32(7), "param_states": {"unused": None}}
  tree = {"version": 3, "optimizer": {"target": target, "state": state}}
  data = serialization.msgpack_serialize(tree)
  (directory / "checkpoint").write_bytes(data)


def _edited(directory, edit):
  """The same checkpoint, its msgpack's target changed by `edit`."""
  data = (directory / "checkpoint").read_bytes()
  target = serialization.msgpack_restore(data)["optimizer"]["target"]
  leaves = dict(edit(_flat(target)))
  _write_tree(directory, parameter_trees.unflatten(leaves))


def _flat(tree, prefix=""):
  for key, node in tree.items():
    if isinstance(node, dict) and "driver" not in node:
      yield from _flat(node, f"{prefix}{key}/")
    else:
      yield f"{prefix}{key}", node


def _assert_equal(found, expected):
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  for left, right in zip(
    jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
  ):
    assert left.dtype == jnp.float32
    np.testing.assert_array_equal(left, right)


@pytest.fixture
def directory(tmp_path, parameters):
  inline = ("encoder/encoder_norm/scale",)
  return _write(tmp_path / "checkpoint_7", parameters, inline=inline)


def test_parameters_come_back(directory, parameters, config):
  for place in (directory, directory.parent):
    found = checkpoints.load_parameters(place, config=config)
    _assert_equal(found, parameters)


def test_bfloat16(tmp_path, parameters, config):
  directory = _write(tmp_path / "checkpoint_1", parameters, "bfloat16")
  half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), parameters)
  found = checkpoints.load_parameters(directory, config=config)
  _assert_equal(found, jax.tree.map(lambda leaf: jnp.float32(leaf), half))


def test_specs_of_other_times_and_places(directory, parameters, config):
  def edit(leaves):
    for number, (name, node) in enumerate(leaves):
      if isinstance(node, dict):
        path = node["kvstore"].pop("path")
        if number % 2:
          node["path"] = path
        else:
          node["kvstore"] |= {"driver": "gcs", "bucket": "x", "path": path}
      yield name, node

  _edited(directory, edit)
  found = checkpoints.load_parameters(directory, config=config)
  _assert_equal(found, parameters)


@pytest.mark.parametrize(
  "change, message",
  [
    ({"num_encoder_layers": 3}, "9 missing:\n  encoder/layers_2/attention/key"),
    ({"num_decoder_layers": 1}, "14 surplus:\n  decoder/layers_1/"),
    ({"mlp_dim": 32}, r"wi_0/kernel is \(16, 24\), expected \(16, 32\)"),
    ({"vocab_size": 41}, "holds 40 vocabulary entries, the network expects 41"),
  ],
)
def test_another_network_is_refused(change, message, directory, config):
  with pytest.raises(CheckpointError, match=f"{directory}: [^!]*{message}"):
    checkpoints.load_parameters(
      directory, config=dataclasses.replace(config, **change)
    )


def test_scanned_layers_are_refused(directory, config):
  def edit(leaves):
    for name, node in leaves:
      yield name.replace("encoder/layers_1", "encoder/encoder"), node

  _edited(directory, edit)
  with pytest.raises(CheckpointError, match=f"{directory}: .*scanned"):
    checkpoints.load_parameters(directory, config=config)


def test_a_truncated_msgpack(directory, config):
  file = directory / "checkpoint"
  whole = file.read_bytes()
  for data in (whole[:-20], b"", b'model_checkpoint_path: "model.ckpt-1"'):
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=f"{file}: .*cut short"):
      checkpoints.load_parameters(directory, config=config)


def _folder(directory):
  return directory / ("target." + KEY.replace("/", "."))


def test_a_truncated_array(directory, config):
  chunk = _folder(directory) / "1.0"
  chunk.write_bytes(chunk.read_bytes()[:-30])
  with pytest.raises(CheckpointError, match=f"a file of {KEY} is cut short"):
    checkpoints.load_parameters(directory, config=config)


def test_a_missing_chunk_is_not_zeros(directory, config):
  (_folder(directory) / "1.0").unlink()
  with pytest.raises(CheckpointError, match=f"{KEY} has 1 of its 2 chunk"):
    checkpoints.load_parameters(directory, config=config)


def test_a_missing_array(directory, config):
  _folder(directory).rename(directory / "elsewhere")
  with pytest.raises(CheckpointError, match=f"array of {KEY} is missing"):
    checkpoints.load_parameters(directory, config=config)


def test_bfloat16_in_disguise_is_refused(directory, config):
  # Old ones kept its bits as whole numbers.
  path = f"other/{KEY}"
  bits = _array(directory, path, np.ones((16, 16)), dtype="uint16")
  _edited(directory, lambda leaves: dict(leaves, **{KEY: bits}).items())
  with pytest.raises(CheckpointError, match=f"{KEY} is stored as uint16"):
    checkpoints.load_parameters(directory, config=config)
