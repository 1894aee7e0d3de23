# SPDX-License-Identifier: Apache-2.0
"""Memory of one chip: from the TPU compiler where it is there, else a formula.

The compiler's figure is that of the very step, ahead of time, for a slice of
16 chips. The formula counts parameters exactly and the largest activations
roughly; a plan says which one it is.
"""

import dataclasses
import functools
import importlib.util
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from data_efficient.evaluation import (
  chips,
  plan_scoring,
  plan_training,
)
from data_efficient.models import (
  decoder_only,
  networks,
  partitioning,
  stacks,
  topologies,
)
from data_efficient.scorers import answers

FORMULA = "formula"
COMPILED = "compiled ahead of time"

# What a framework keeps for itself, and fragments: a step may have the rest.
_USABLE = 0.92


class Memory(NamedTuple):
  """What a chip needs.

  Attributes:
    bytes: at the step's peak; infinite where the compiler found no way.
    source: `FORMULA`, or `COMPILED`.
    model_parallel: chips that share one copy of the parameters.
    fits: whether the chip has as much.
  """

  bytes: float
  source: str
  model_parallel: int
  fits: bool


class Parameters(NamedTuple):
  """How many a network has, and their bytes as a judge stores them."""

  count: int
  stored_bytes: float


def parameters(network: networks.Network) -> Parameters:
  """Counts the parameters; seconds for a deep network, so once."""
  return _parameters(dataclasses.replace(network, remat="none"))


@functools.cache
def _parameters(network: networks.Network) -> Parameters:
  shapes = networks.parameter_shapes(network)
  dtypes = networks.operand_dtypes(network)
  sizes = [
    (math.prod(leaf.shape), jnp.dtype(dtype).itemsize)
    for leaf, dtype in zip(
      jax.tree.leaves(shapes), jax.tree.leaves(dtypes), strict=True
    )
  ]
  return Parameters(
    sum(size for size, _ in sizes),
    float(sum(size * each for size, each in sizes)),
  )


def compiler() -> bool:
  """Whether libtpu is importable here."""
  return importlib.util.find_spec("libtpu") is not None


def scoring(
  chip: chips.Chip, work: plan_scoring.Work, *, compiled: bool
) -> Memory:
  """Of the scoring step, at its longest batch.

  The parameters are stored as a judge's are; each group of chips that shares
  them has a batch of its own.

  Args:
    chip: which.
    work: its batches.
    compiled: whether the TPU's compiler is asked, for chips that it knows.
  """
  rows, length = max(
    (batch.example.shape for batch in work.batches),
    key=lambda shape: (shape[1], shape[0]),
  )

  def formula(shared: int) -> float:
    return _scoring_formula(work.network, rows, length, shared)

  def ahead_of_time(shared: int) -> float:
    mesh = _mesh(chip, shared)
    shapes = jax.tree.map(
      lambda leaf, dtype: jax.ShapeDtypeStruct(leaf.shape, dtype),
      networks.parameter_shapes(work.network),
      networks.operand_dtypes(work.network),
    )
    laid_out = topologies.laid_out(
      shapes, partitioning.parameter_shardings(work.network, mesh)
    )
    whole = (rows * mesh.shape["data"], length)
    tokens = topologies.struct(mesh, whole, jnp.int32, "data")
    with partitioning.activate(mesh):
      lowered = answers.log_probabilities.lower(
        laid_out, tokens, network=work.network, answers=work.answers
      )
      return _peak(lowered)

  asked = compiled and chip.name in topologies.SLICES
  return _least(chip, work.network, formula, ahead_of_time if asked else None)


def training(
  chip: chips.Chip,
  run: plan_training.Training,
  *,
  count: int,
  compiled: bool,
) -> Memory:
  """Of the train step on so many chips, its batch split over them."""

  def rows(shared: int) -> int:
    return math.ceil(run.batch * shared / count / run.microbatches)

  def formula(shared: int) -> float:
    return _training_formula(run, rows(shared), shared)

  def ahead_of_time(shared: int) -> float:
    mesh = _mesh(chip, shared)
    part = rows(shared) * run.microbatches * mesh.shape["data"]
    split = dataclasses.replace(run, batch=part)
    # Outside of the mesh: both make arrays, on the device at hand.
    train = plan_training.jitted(split, mesh)
    state = topologies.laid_out(
      jax.eval_shape(plan_training.state(split)),
      plan_training.shardings(split, mesh),
    )
    batch = {
      name: topologies.struct(mesh, shape, jnp.int32, "data")
      for name, shape in plan_training.batch_shapes(split).items()
    }
    with partitioning.activate(mesh):
      return _peak(train.lower(state, batch))

  asked = compiled and chip.name in topologies.SLICES
  return _least(
    chip, run.network, formula, ahead_of_time if asked else None, most=count
  )


def _least(
  chip: chips.Chip,
  network: networks.Network,
  formula: Callable[[int], float],
  ahead_of_time: Callable[[int], float] | None,
  most: int = topologies.CHIPS_OF_A_SLICE,
) -> Memory:
  """With as few chips a copy as fit; with the most, where none do.

  The formula says where the compiler begins, which takes longer.
  """
  usable = _USABLE * chip.memory_bytes
  shared = [
    number
    for number in (1, 2, 4, 8, 16)
    if number <= most and _divides(network, number)
  ]
  start = next(
    (at for at, number in enumerate(shared) if formula(number) <= usable),
    len(shared) - 1,
  )
  if ahead_of_time is None:
    needed = formula(shared[start])
    return Memory(needed, FORMULA, shared[start], needed <= usable)
  for number in shared[start:]:
    needed = ahead_of_time(number)
    if needed <= usable:
      break
  return Memory(needed, COMPILED, number, needed <= usable)


def _divides(network: stacks.Sizes, shared: int) -> bool:
  sizes = (network.num_heads, network.mlp_dim, network.vocab_size)
  return all(size % shared == 0 for size in sizes)


def _mesh(chip: chips.Chip, shared: int) -> jax.sharding.Mesh:
  return partitioning.mesh(
    model_parallel=shared, devices=topologies.slice_of(chip.name)
  )


def _peak(lowered) -> float:
  """Bytes of a chip; infinite where the compiler runs out of them."""
  try:
    compiled = lowered.compile(compiler_options=topologies.QUICKLY)
  except jax.errors.JaxRuntimeError as error:
    if "RESOURCE_EXHAUSTED" not in str(error):
      raise
    return math.inf
  return float(topologies.peak_bytes(compiled))


def _scoring_formula(
  network: stacks.Sizes, rows: int, length: int, shared: int
) -> float:
  """Parameters, the residual stream, and the larger of a layer's two blocks."""
  stream = 3.0 * 4.0 * rows * length * network.emb_dim
  # Queries, keys, values, and two float32 squares.
  inner = network.num_heads * network.head_dim
  attention = 3 * rows * length * inner
  attention += 2 * rows * network.num_heads * length**2
  hidden = 3 * rows * length * network.mlp_dim
  block = 4.0 * max(attention, hidden) / shared
  return parameters(network).stored_bytes / shared + stream + block


def _training_formula(
  run: plan_training.Training, rows: int, shared: int
) -> float:
  """Parameters and gradients in float32, what remat keeps, and the logits."""
  network = run.network
  state = 8.0 * parameters(network).count / shared
  source, target = run.inputs, run.targets
  if isinstance(network, decoder_only.DecoderOnlyConfig):
    layers = [(network.num_decoder_layers, source + target)]
    target = source + target
  else:
    layers = [
      (network.num_encoder_layers, source),
      (network.num_decoder_layers, target),
    ]
  kept = sum(
    count * _kept_of_a_layer(network, rows, tokens, shared)
    for count, tokens in layers
  )
  inside = max(
    _inside_of_a_layer(network, rows, tokens, shared) for _, tokens in layers
  )
  logits = 2.0 * 4.0 * rows * target * network.vocab_size / shared
  return state + kept + inside + logits


def _kept_of_a_layer(
  network: stacks.Sizes, rows: int, tokens: int, shared: int
) -> float:
  """Bytes that a backward pass finds of one layer."""
  positions = rows * tokens
  stream = 4.0 * positions * network.emb_dim
  if network.remat == "full":
    return stream
  inner = network.num_heads * network.head_dim
  projections = 4.0 * positions * (4 * inner + 3 * network.mlp_dim) / shared
  if network.remat == "minimal":
    return 2 * stream + projections
  return 4 * stream + projections + _squares(network, rows, tokens, shared)


def _inside_of_a_layer(
  network: stacks.Sizes, rows: int, tokens: int, shared: int
) -> float:
  """Bytes of the one layer that is being differentiated."""
  hidden = 4.0 * rows * tokens * 4 * network.mlp_dim / shared
  return hidden + _squares(network, rows, tokens, shared)


def _squares(
  network: stacks.Sizes, rows: int, tokens: int, shared: int
) -> float:
  """Attention's weights and what a softmax keeps of them."""
  return 2.0 * 4.0 * rows * network.num_heads * tokens**2 / shared
