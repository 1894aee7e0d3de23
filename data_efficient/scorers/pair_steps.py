# SPDX-License-Identifier: Apache-2.0
"""Examples × targets on the devices: the distances of all their pairs.

A decoder with a cache reads each example once, and all targets go on from what
it keeps; rows stand example by example, so that of a batch that is split over
devices each has its own examples, and no cache is sent. The head is applied
where answers are predicted and nowhere else. Other networks read example and
query anew for each pair: slower, and as exact.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from data_efficient.kernels import likelihood, utility
from data_efficient.models import (
  decoder,
  decoder_cache,
  networks,
  partitioning,
)
from data_efficient.scorers import batching, judges, pair_tokens

# Positions of which logits are held at once: of 32,000 words half a gigabyte.
_POSITIONS = 4096

Tokens = Int[Array, "r t"] | Int[np.ndarray, "r t"]


class SharedPrefixes:
  """Pairs of a `decoder.DecoderConfig`.

  Args:
    judge: the network.
    distance: from the answers.
    buckets: the lengths of examples.
  """

  def __init__(
    self,
    judge: judges.Judge,
    distance: utility.Distance,
    buckets: batching.Buckets,
  ):
    self._judge, self._distance = judge, distance
    self._buckets = buckets

  def place(self, batch: pair_tokens.TargetBatch) -> Any:
    """A batch of targets, whole on every device."""
    rows, wide = batch.answers.shape
    tokens = np.full((rows, batch.length), -1, np.int32)
    first = np.zeros(rows, np.int32)
    for row, query in enumerate(batch.queries):
      answer = batch.answers[row][batch.answers[row] >= 0]
      joined = [*query, *answer[:-1]]
      tokens[row, : len(joined)] = joined
      first[row] = len(query) - 1
    index = np.minimum(first[:, None] + np.arange(wide), batch.length - 1)
    return tuple(map(self._whole, (tokens, index, batch.answers)))

  def begin(self, before: Sequence[int]) -> decoder_cache.Cache | None:
    """What the network keeps of what stands before all examples."""
    if not before:
      return None
    devices = self._judge.rows_multiple
    return self.read([list(before)] * devices, devices, None)

  def read(
    self,
    examples: Sequence[list[int]],
    rows: int,
    begun: decoder_cache.Cache | None,
  ) -> decoder_cache.Cache:
    """What the network keeps of some examples; the last rows may be empty."""
    length = self._buckets.length(max(map(len, examples)))
    made = batching.Batch(list(range(len(examples))), rows, length)
    tokens = batching.padded(examples, made, padding=-1)
    return read(
      self._judge.parameters,
      self._judge.place(tokens),
      begun,
      network=self._judge.network,
    )

  def distances(self, past: decoder_cache.Cache, targets: Any) -> Array:
    """[examples, targets], not there yet."""
    tokens, index, answers = targets
    parameters, network = self._judge.parameters, self._judge.network
    states = continued(parameters, past, tokens, network=network)
    found = predicted(parameters, states, index, answers, network=network)
    return utility.distances(found, answers >= 0, distance=self._distance)

  def _whole(self, array: np.ndarray) -> jax.Array:
    mesh = self._judge.mesh
    if mesh is None:
      return jnp.asarray(array)
    return jax.device_put(array, partitioning.replicated(mesh))


@functools.partial(jax.jit, static_argnames="network")
def read(
  parameters: networks.Parameters,
  tokens: Tokens,
  begun: decoder_cache.Cache | None = None,
  *,
  network: decoder.DecoderConfig,
) -> decoder_cache.Cache:
  """Keys and values of some examples, padded with −1, and of what was before.

  Args:
    parameters: of the network.
    tokens: of the examples.
    begun: what stands before them; each row is shared by as many examples.
    network: its sizes.
  """
  module = network.module()
  _, past = module.apply(
    {"params": parameters}, tokens, tokens >= 0, begun, method=module.read
  )
  return past


# Two steps: the large one is not compiled again for each length of answers.
@functools.partial(jax.jit, static_argnames="network")
def continued(
  parameters: networks.Parameters,
  past: decoder_cache.Cache,
  tokens: Tokens,
  *,
  network: decoder.DecoderConfig,
) -> Float[Array, "b t d"]:
  """States of all targets after each example, example by example.

  Of queries and answers without what nothing follows; −1 is padding.
  """
  module = network.module()
  tokens = _spread(tokens, len(past.valid))
  states, _ = module.apply(
    {"params": parameters}, tokens, tokens >= 0, past, method=module.read
  )
  return states


@functools.partial(jax.jit, static_argnames="network")
def predicted(
  parameters: networks.Parameters,
  states: Float[Array, "b t d"],
  index: Int[Array, "r a"],
  answers: Int[Array, "r a"],
  *,
  network: decoder.DecoderConfig,
) -> Float[Array, "e r a"]:
  """Log-probabilities, float32, of the answers' tokens after each example.

  Args:
    parameters: of the network.
    states: what `continued` returned.
    index: the positions that predict the answers.
    answers: their tokens; of padding, −1, the result is any number.
    network: its sizes.
  """
  rows, wide = answers.shape
  examples = len(states) // rows
  index = _spread(index, examples)[..., None]
  chosen = jnp.take_along_axis(states, index, axis=1)
  targets = jnp.maximum(_spread(answers, examples), 0)
  module = network.module()

  def part(some: tuple[Array, Array]) -> Array:
    states, targets = some
    logits = module.apply({"params": parameters}, states, method=module.head)
    return likelihood.token_log_likelihoods(logits, targets)

  at_once = max(
    size
    for size in range(1, wide + 1)
    if wide % size == 0 and (size == 1 or len(states) * size <= _POSITIONS)
  )
  if at_once == wide:
    found = part((chosen, targets))
  else:
    # Parts of every row, so that rows stay where they are on a mesh.
    parts = jax.tree.map(
      lambda x: jnp.moveaxis(
        x.reshape(len(x), wide // at_once, at_once, *x.shape[2:]), 1, 0
      ),
      (chosen, targets),
    )
    found = jnp.moveaxis(jax.lax.map(part, parts), 0, 1)
  return found.reshape(examples, rows, wide)


def _spread(array: Array, examples: int) -> Array:
  """Rows of the targets, once for each example."""
  shape = (examples, *array.shape)
  return jnp.broadcast_to(array, shape).reshape(-1, array.shape[1])


class WholeRows:
  """Pairs of networks that keep nothing: each is read from its first token.

  Args:
    judge: an encoder–decoder, or a decoder-only network without a cache.
    distance: from the answers.
    buckets: the lengths of examples.
  """

  def __init__(
    self,
    judge: judges.Judge,
    distance: utility.Distance,
    buckets: batching.Buckets,
  ):
    self._judge, self._distance = judge, distance
    self._buckets = buckets

  def place(self, batch: pair_tokens.TargetBatch) -> Any:
    """A batch of targets; it waits for the examples."""
    return batch

  def begin(self, before: Sequence[int]) -> list[int]:
    """What stands before all examples; it waits for them."""
    return list(before)

  def read(
    self, examples: Sequence[list[int]], rows: int, begun: list[int]
  ) -> Any:
    """Some examples; those that are missing are empty."""
    examples = [[*begun, *example] for example in examples]
    length = self._buckets.length(max(map(len, examples)))
    missing = rows - len(examples)
    return [*examples, *[[] for _ in range(missing)]], length

  def distances(self, past: Any, targets: Any) -> Array:
    """[examples, targets], not there yet."""
    examples, before = past
    make = _rows_of_one if self._judge.decoder_only else _rows_of_two
    arrays = make(examples, targets, before + targets.length)
    found = whole(
      self._judge.parameters,
      {name: self._judge.place(array) for name, array in arrays.items()},
      network=self._judge.network,
    )
    found = utility.distances(found, arrays["counted"], distance=self._distance)
    return found.reshape(len(examples), -1)


def _rows_of_two(
  examples: Sequence[list[int]], batch: pair_tokens.TargetBatch, length: int
) -> dict[str, np.ndarray]:
  """Example and query for the encoder, the answer for the decoder."""
  rows = len(batch.answers)
  inputs = np.zeros((len(examples) * rows, length), np.int32)
  for number, example in enumerate(examples):
    for row, query in enumerate(batch.queries):
      joined = [*example, *query]
      inputs[number * rows + row, : len(joined)] = joined
  targets = np.tile(batch.answers, (len(examples), 1))
  return {
    "encoder_input_tokens": inputs,
    "decoder_target_tokens": np.maximum(targets, 0),
    "counted": targets >= 0,
  }


def _rows_of_one(
  examples: Sequence[list[int]], batch: pair_tokens.TargetBatch, length: int
) -> dict[str, np.ndarray]:
  """Example, query and answer in one row."""
  rows = len(batch.answers)
  shape = (len(examples) * rows, length + 1)
  targets, counted = np.zeros(shape, np.int32), np.zeros(shape, bool)
  for number, example in enumerate(examples):
    for row, query in enumerate(batch.queries):
      answer = batch.answers[row][batch.answers[row] >= 0]
      joined = [*example, *query, *answer]
      at = number * rows + row
      targets[at, : len(joined)] = joined
      counted[at, len(joined) - len(answer) : len(joined)] = True
  return {"decoder_target_tokens": targets, "counted": counted}


@functools.partial(jax.jit, static_argnames="network")
def whole(
  parameters: networks.Parameters,
  batch: Mapping[str, Any],
  *,
  network: networks.Network,
) -> Float[Array, "b t"]:
  """Log-probabilities, float32, of all targets; padding and start are 0."""
  targets = batch["decoder_target_tokens"]
  shifted = jnp.pad(targets, ((0, 0), (1, 0)))[:, :-1]
  features = {**batch, "decoder_input_tokens": shifted}
  logits = networks.logits(network, parameters, features, dropout=None)
  return likelihood.token_log_likelihoods(logits, targets)
