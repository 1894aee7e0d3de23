# SPDX-License-Identifier: Apache-2.0
"""A small network that learns utilities from embeddings: NN-CIFT.

  U[i, j] ≈ v · relu(W [e_i; e_j] + b) + c

(Agarwal et al. 2025, arXiv 2502.09969: learnt on 5% of the targets × 5% of the
examples, a hidden layer of 100, Adam at 1e-4, 20 epochs, batches of 64, mean
squared error.) W [e_i; e_j] is W₁ e_i + W₂ e_j: both products are made once a
record, and a pair costs 100 multiplications whatever the embedding's size.

Theirs learns utilities scaled to [0, 1]; ours such of mean 0 and deviation 1,
so that one learning rate suits all distances.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Float32, Int

from data_efficient import progress
from data_efficient.scorers import interface
from data_efficient.scorers.approximations import (
  ApproximationError,
  Known,
  Records,
  Rectangle,
)

Parameters = Mapping[str, Any]
# Exact products: TPUs and GPUs round operands otherwise.
_PRECISION = jax.lax.Precision.HIGHEST


class Network(nn.Module):
  """Two embeddings to a utility.

  Attributes:
    hidden: units.
  """

  hidden: int

  def setup(self):
    """Declares the first layer in two halves, as wide as a whole one has it."""
    # Halves of the variance, so that together they begin as one layer does.
    half = nn.initializers.variance_scaling(0.5, "fan_in", "truncated_normal")
    dense = functools.partial(nn.Dense, precision=_PRECISION)
    self.target = dense(self.hidden, kernel_init=half)
    self.example = dense(self.hidden, kernel_init=half, use_bias=False)
    self.out = dense(1)

  def __call__(
    self, targets: Float[Array, "b d"], examples: Float[Array, "b d"]
  ) -> Float[Array, " b"]:
    """Utilities of pairs, row by row."""
    return self.join(*self.halves(targets, examples))

  def halves(self, targets: Array, examples: Array) -> tuple[Array, Array]:
    """What each side brings to the hidden layer."""
    return self.target(targets), self.example(examples)

  def join(self, first: Array, second: Array) -> Array:
    """Utilities of what both sides bring."""
    return self.out(nn.relu(first + second))[..., 0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfluenceNetwork:
  """Learns from a part of the pairs, predicts the others.

  Attributes:
    embedder: of the records' texts.
    fraction: of the targets, and of the examples, whose pairs are computed.
    hidden: units of the hidden layer.
    learning_rate: of Adam.
    epochs: passes over the pairs.
    batch: pairs a step.
    seed: of the parts, the parameters and the order.
    name: in identities and tables.
  """

  embedder: interface.Scorer
  fraction: float
  hidden: int
  learning_rate: float
  epochs: int
  batch: int
  seed: int
  name: str = "influence_network"

  def __post_init__(self):
    """Raises ApproximationError for settings out of range."""
    whole = min(self.hidden, self.epochs, self.batch) >= 1
    if not 0 < self.fraction < 1 or not whole or self.learning_rate <= 0:
      raise ApproximationError(
        f"fraction = {self.fraction}, hidden = {self.hidden}, epochs = "
        f"{self.epochs}, batch = {self.batch}, learning_rate = "
        f"{self.learning_rate}: expected a fraction between 0 and 1, numbers "
        "from 1, and a rate above 0"
      )

  def identity(self) -> dict[str, Any]:
    """All that predictions depend on, beside the records and the scorer."""
    found = {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(self)
      if field.name != "embedder"
    }
    return {**found, "embedder": self.embedder.identity()}

  def rectangles(self, targets: Records, examples: Records) -> list[Rectangle]:
    """Some targets with some examples, drawn at random."""
    random = np.random.default_rng(self.seed)
    return [
      Rectangle(*(self._drawn(axis, random) for axis in (targets, examples)))
    ]

  def fit(
    self, known: Sequence[Known], targets: Records, examples: Records
  ) -> "Trained":
    """Trains on the pairs that were computed."""
    (only,) = known
    row, column = np.nonzero(only.counts)
    if len(row) < 2:
      raise ApproximationError(
        f"{len(row)} of the pairs that were computed have a utility: nothing "
        "to learn from; raise the fraction"
      )
    values = only.values[row, column].astype(np.float64)
    mean, scale = float(values.mean()), float(values.std()) or 1.0
    pairs = tuple(
      np.stack([only.rectangle.targets[row], only.rectangle.examples[column]])
    )
    vectors = (jnp.asarray(targets.vectors), jnp.asarray(examples.vectors))
    wanted = ((values - mean) / scale).astype(np.float32)
    parameters = self._trained(vectors, pairs, wanted)
    first, second = _halves(parameters, *vectors, hidden=self.hidden)
    return Trained(
      parameters,
      self.hidden,
      np.asarray(first),
      np.asarray(second),
      mean,
      scale,
    )

  def _drawn(self, records: Records, random) -> Int[np.ndarray, " k"]:
    usable = np.flatnonzero(records.scorable)
    count = max(2, round(self.fraction * len(usable)))
    if count >= len(usable):
      raise ApproximationError(
        f"{len(usable)} records that can be scored, of which {count} are to be "
        "computed: too few to learn from; compute all pairs"
      )
    return np.sort(random.choice(usable, count, replace=False))

  def _trained(self, vectors, pairs, wanted) -> Parameters:
    key = jax.random.key(self.seed)
    module = Network(self.hidden)
    parameters = module.init(key, *(side[:1] for side in vectors))["params"]
    optimizer = optax.adam(self.learning_rate)
    state = parameters, optimizer.init(parameters)
    batch = min(self.batch, len(wanted))
    with progress.bar(f"{self.name}: epochs", total=self.epochs) as advance:
      for epoch in range(self.epochs):
        state = _epoch(
          state,
          jax.random.fold_in(key, epoch),
          vectors,
          pairs,
          wanted,
          hidden=self.hidden,
          rate=self.learning_rate,
          batch=batch,
        )
        jax.block_until_ready(state)
        advance(1)
    return state[0]


@dataclasses.dataclass(frozen=True)
class Trained:
  """A network, and what each record brings to its hidden layer.

  Attributes:
    parameters: of the network.
    hidden: units.
    targets: what each brings [n, hidden].
    examples: what each brings [m, hidden].
    mean: of the utilities that it learnt from.
    scale: their deviation.
  """

  parameters: Parameters
  hidden: int
  targets: Float32[np.ndarray, "n h"]
  examples: Float32[np.ndarray, "m h"]
  mean: float
  scale: float

  def predict(
    self, targets: slice, examples: slice
  ) -> Float32[np.ndarray, "r c"]:
    """Utilities of a block."""
    found = pairwise(
      self.parameters, self.targets[targets], self.examples[examples]
    )
    return np.asarray(found) * np.float32(self.scale) + np.float32(self.mean)


@functools.partial(jax.jit, static_argnames=("hidden", "rate", "batch"))
def _epoch(state, key, vectors, pairs, wanted, *, hidden, rate, batch):
  """One pass over all pairs in an order of its own; the last few are left."""
  module, optimizer = Network(hidden), optax.adam(rate)
  order = jax.random.permutation(key, len(wanted))
  steps = order[: len(order) // batch * batch].reshape(-1, batch)

  def loss(parameters, some):
    row, column = (side[some] for side in pairs)
    found = module.apply(
      {"params": parameters}, vectors[0][row], vectors[1][column]
    )
    return jnp.mean(jnp.square(found - wanted[some]))

  def step(state, some):
    parameters, moments = state
    gradients = jax.grad(loss)(parameters, some)
    updates, moments = optimizer.update(gradients, moments, parameters)
    return (optax.apply_updates(parameters, updates), moments), None

  pairs, wanted = tuple(map(jnp.asarray, pairs)), jnp.asarray(wanted)
  return jax.lax.scan(step, state, steps)[0]


@functools.partial(jax.jit, static_argnames="hidden")
def _halves(parameters, targets, examples, *, hidden):
  module = Network(hidden)
  variables = {"params": parameters}
  return module.apply(variables, targets, examples, method=module.halves)


@jax.jit
def pairwise(
  parameters: Parameters,
  targets: Float[Array | np.ndarray, "r h"],
  examples: Float[Array | np.ndarray, "c h"],
) -> Float[Array, "r c"]:
  """What the network says of all pairs of a block.

  Args:
    parameters: of the network.
    targets: what each brings to the hidden layer.
    examples: what each brings to it.
  """
  both = jnp.asarray(targets)[:, None] + jnp.asarray(examples)[None]
  out = parameters["out"]
  # A sum and no product of matrices: the hidden layer is never in memory.
  found = (nn.relu(both) * out["kernel"][:, 0]).sum(axis=-1)
  return found + out["bias"]
