# SPDX-License-Identifier: Apache-2.0
"""Judges: a network, its parameters on their devices, and a name for both."""

import contextlib
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xxhash
from jax.sharding import Mesh

from data_efficient import processes
from data_efficient.models import (
  checkpoints,
  decoder,
  decoder_only,
  networks,
  partitioning,
)
from data_efficient.models.tokenizers import Tokenizer

STAND_IN = "stand_in"
# Of a network, what a forward pass without dropout does not depend on.
_OF_TRAINING = ("dropout_rate", "embedding_init_stddev", "remat")


@dataclasses.dataclass(frozen=True)
class Judge:
  """A model that can be asked.

  Attributes:
    network: its sizes and numerics.
    parameters: its parameter tree.
    name: where the parameters came from, JSON-able.
    mesh: this process's devices, (data, model); None is the default device.
  """

  network: networks.Network
  parameters: networks.Parameters
  name: dict
  mesh: Mesh | None = None

  def __reduce__(self) -> tuple:
    """What goes to another process; it has devices of its own."""
    parameters = jax.device_get(self.parameters)
    layout = dict(self.mesh.shape) if self.mesh else None
    return _moved, (self.network, parameters, self.name, layout)

  def identity(self) -> dict:
    """All that its answers depend on, JSON-able."""
    sizes = dataclasses.asdict(self.network)
    network = {name: sizes[name] for name in sizes if name not in _OF_TRAINING}
    return {**self.name, "network": network}

  def layout(self) -> dict[str, int]:
    """How many devices a batch and the parameters are split over."""
    return dict(self.mesh.shape) if self.mesh else {"data": 1, "model": 1}

  @property
  def decoder_only(self) -> bool:
    """Whether it reads inputs and answer in one row, padded on the left."""
    kinds = (decoder.DecoderConfig, decoder_only.DecoderOnlyConfig)
    return isinstance(self.network, kinds)

  @property
  def starts(self) -> bool:
    """Whether its decoder begins with id 0, which is padding, too."""
    return not isinstance(self.network, decoder.DecoderConfig)

  @property
  def padding(self) -> int:
    """The id of padding: −1 where 0 is a piece like any other, else 0."""
    return 0 if self.starts else -1

  @property
  def family(self) -> str:
    """What its architecture is called."""
    return "decoder-only" if self.decoder_only else "encoder–decoder"

  @property
  def rows_multiple(self) -> int:
    """Devices that share the rows of a batch."""
    return self.layout()["data"]

  @contextlib.contextmanager
  def devices(self):
    """Inside, steps of the network run on the judge's mesh."""
    with (
      partitioning.activate(self.mesh)
      if self.mesh
      else contextlib.nullcontext()
    ):
      yield

  def place(self, array: np.ndarray) -> jax.Array:
    """A batch, its rows split over the devices; returns at once."""
    if self.mesh is None:
      return jnp.asarray(array)
    return jax.device_put(array, partitioning.batch_sharding(self.mesh))


def load(
  *,
  network: networks.Network,
  checkpoint: str,
  kind: str,
  model_parallel: int = 1,
) -> Judge:
  """A judge from a checkpoint of this project, T5X or Hugging Face.

  Of several processes each has a copy, on its own devices.

  Args:
    network: its size; must match the checkpoint.
    checkpoint: directory.
    kind: what tables call it: "stand_in" for one that was taught here, else
      the published name ("flan_t5_xl").
    model_parallel: devices of this process that share one copy of the
      parameters; the others take other rows of each batch.

  Raises:
    CheckpointError: a missing or damaged checkpoint, or another size.
    PartitioningError: devices or sizes that do not divide.
  """
  # Before JAX is asked for a device.
  processes.join()
  mesh = partitioning.mesh(
    model_parallel=model_parallel, devices=jax.local_devices()
  )
  parameters = checkpoints.load_parameters(
    checkpoint,
    config=network,
    shardings=partitioning.parameter_shardings(network, mesh),
    dtypes=networks.operand_dtypes(network),
  )
  name = {"kind": kind, "parameters": fingerprint(parameters)}
  return Judge(network, parameters, name, mesh)


def _moved(
  network: networks.Network,
  parameters: networks.Parameters,
  name: dict,
  layout: dict[str, int] | None,
) -> Judge:
  """A judge of another process, on this one's devices."""
  if layout is None:
    return Judge(network, parameters, name)
  mesh = partitioning.mesh(
    model_parallel=layout["model"], devices=jax.local_devices()
  )
  if dict(mesh.shape) != layout:
    raise partitioning.PartitioningError(
      f"a judge of devices {layout} was sent to a machine with "
      f"{dict(mesh.shape)}: its scores would differ in their bits"
    )
  shardings = partitioning.parameter_shardings(network, mesh)
  placed = jax.tree.map(partitioning.place, parameters, shardings)
  return Judge(network, placed, name, mesh)


def check_vocabulary(judge: Judge, tokenizer: Tokenizer) -> None:
  """Compares a tokenizer with the judge's network.

  Raises:
    ValueError: it has ids that the network has not, or the network takes an
      ordinary piece for padding.
  """
  if tokenizer.size > judge.network.vocab_size:
    raise ValueError(
      f"the vocabulary has {tokenizer.size} ids, the judge's network "
      f"{judge.network.vocab_size}: name the judge's own vocabulary"
    )
  piece = tokenizer.piece_of_zero
  if judge.padding == 0 and piece is not None:
    raise ValueError(
      f"id 0 of the vocabulary is the ordinary piece {piece!r}, but a judge of"
      " this family takes 0 for padding and would not see it: use a tokenizer"
      " (and a checkpoint) whose id 0 is a special token"
    )


def fingerprint(parameters: Any) -> str:
  """xxh3_128, in hex, of all arrays in the order of their names."""
  digest = xxhash.xxh3_128()
  for path, leaf in jax.tree_util.tree_leaves_with_path(parameters):
    digest.update(jax.tree_util.keystr(path).encode())
    digest.update(np.ascontiguousarray(leaf).tobytes())
  return digest.hexdigest()
