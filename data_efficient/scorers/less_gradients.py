# SPDX-License-Identifier: Apache-2.0
"""A gradient for each record, by the adapter alone, projected (LESS)."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from data_efficient.kernels import gradient_features, likelihood
from data_efficient.models import adapters, networks
from data_efficient.scorers import answer_rows, batching, judges, warmups

_KEY = "threefry2x32"  # the same signs, whatever JAX's default becomes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gradients:
  """How gradients are taken, and projected.

  Attributes:
    judge: the network below the adapter.
    lora: of the adapter.
    rates: Adam's numbers.
    dimensions: of the projection.
    seed: of the projection.
    rows: how records become rows.
    buckets: of the rows' tokens.
  """

  judge: judges.Judge
  lora: adapters.Lora
  rates: gradient_features.AdamRates
  dimensions: int
  seed: int
  rows: answer_rows.AnswerRows
  buckets: batching.Buckets

  def __post_init__(self):
    """Raises ValueError for a projection to nothing."""
    if self.dimensions < 1:
      raise ValueError(f"dimensions = {self.dimensions}: expected at least 1")

  def batches(
    self, rows: Sequence[answer_rows.Row]
  ) -> tuple[list[list[int]], list[dict[str, np.ndarray]]]:
    """Which rows each batch has, and its arrays."""
    planned = self.rows.batches(
      rows, self.buckets, multiple=self.judge.rows_multiple
    )
    arrays = [self.rows.arrays(rows, made) for made in planned]
    return [made.items for made in planned], arrays

  def placed(self, arrays: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """A batch on its devices."""
    return {name: self.judge.place(values) for name, values in arrays.items()}

  def of(
    self,
    checkpoint: warmups.Checkpoint,
    placed: Mapping[str, jax.Array],
    *,
    adam: bool,
  ) -> jax.Array:
    """Features [rows, dimensions] of one batch: Adam's directions, or plain."""
    # Outside of the mesh's rules: those are for axes of a batch, and here each
    # row is one of its own. The compiler follows where the arrays lie.
    return features(
      self.judge.parameters,
      checkpoint.adapter,
      checkpoint.moments if adam else None,
      placed,
      jax.random.key(self.seed, impl=_KEY),
      network=self.judge.network,
      lora=self.lora,
      rates=self.rates,
      dimensions=self.dimensions,
    )


@functools.partial(
  jax.jit, static_argnames=("network", "lora", "rates", "dimensions")
)
def features(
  parameters: networks.Parameters,
  adapter: adapters.Adapter,
  moments: gradient_features.Moments | None,
  batch: Mapping[str, Any],
  key: Key[Array, ""],
  *,
  network: networks.Network,
  lora: adapters.Lora,
  rates: gradient_features.AdamRates,
  dimensions: int,
) -> Float[Array, "b d"]:
  """Projected gradients of each row's mean loss, by the adapter alone.

  Args:
    parameters: of the network below it.
    adapter: at which they are taken, without dropout.
    moments: Adam's, for its directions; None for plain gradients.
    batch: of `answer_rows`.
    key: of the projection.
    network: any of ours.
    lora: of the adapter.
    rates: Adam's numbers.
    dimensions: of the projection.
  """

  def loss(adapter: adapters.Adapter, row: Mapping[str, Array]) -> Array:
    alone = {name: values[None] for name, values in row.items()}
    logits = adapters.logits(
      network, parameters, adapter, alone, lora=lora, dropout=None
    )
    counted = alone["counted"]
    total = likelihood.sequence_log_likelihoods(
      logits, alone["decoder_target_tokens"], counted
    )
    return -total[0] / jnp.maximum(counted.sum(), 1).astype(jnp.float32)

  rows = {name: jnp.asarray(values) for name, values in batch.items()}
  found = jax.vmap(jax.grad(loss), in_axes=(None, 0))(adapter, rows)
  if moments is not None:
    found = gradient_features.adam_directions(found, moments, rates=rates)
  return gradient_features.project(found, key, dimensions=dimensions)
