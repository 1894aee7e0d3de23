# SPDX-License-Identifier: Apache-2.0
"""Given targets to their log-likelihood: examples to batches to sums.

Batches are chosen by what a network reads; how long their targets are follows
from the objective, so that there is one compiled shape a length of inputs.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from data_efficient.kernels import likelihood
from data_efficient.models import decoder, networks
from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import batching, objectives


class Shapes:
  """The shapes of an objective's batches.

  Args:
    objective: what makes the examples.
    tokenizer: of their tokens.
    buckets: of what is read: an encoder's inputs, or inputs and targets of a
      decoder-only network.
    padding: id of padding.

  Raises:
    ValueError: the objective's, for this tokenizer or these lengths.
  """

  def __init__(
    self,
    *,
    objective: objectives.Objective,
    tokenizer: Tokenizer,
    buckets: batching.Buckets,
    padding: int = 0,
  ):
    self._objective, self._buckets = objective, buckets
    self._padding = padding
    # By the tokens of a window, from the fewest to the most that fit.
    self._lengths: list[objectives.Lengths] = []
    while True:
      tokens = objective.least + len(self._lengths)
      lengths = objective.lengths(tokens, tokenizer)
      if self._read(lengths) > buckets.longest:
        break
      self._lengths.append(lengths)

  @property
  def window_tokens(self) -> int:
    """Tokens of the longest window that fits; less than the least: none."""
    return self._objective.least + len(self._lengths) - 1

  def batches(
    self, examples: Sequence[objectives.Example], *, multiple: int
  ) -> list[batching.Batch]:
    """Which examples share a batch; see `batching.Buckets.batches`."""
    read = [
      self._read(objectives.Lengths(*map(len, example))) for example in examples
    ]
    return self._buckets.batches(read, multiple=multiple)

  def arrays(
    self, examples: Sequence[objectives.Example], made: batching.Batch
  ) -> dict[str, np.ndarray]:
    """A batch's padded features, and which of its targets count."""
    if self._objective.decoder_only:
      return self._sequences(examples, made)
    longest = max(
      lengths.targets
      for lengths in self._lengths
      if lengths.inputs <= made.length
    )
    inputs = [example.inputs for example in examples]
    targets = [example.targets for example in examples]
    tokens = batching.padded(targets, made, length=longest)
    return {
      "encoder_input_tokens": batching.padded(inputs, made),
      "decoder_target_tokens": tokens,
      "counted": tokens > 0,
    }

  def _sequences(
    self, examples: Sequence[objectives.Example], made: batching.Batch
  ) -> dict[str, np.ndarray]:
    joined = [[*inputs, *targets] for inputs, targets in examples]
    tokens = batching.padded(joined, made, padding=self._padding)
    given = np.zeros((made.rows, 1), int)
    given[: len(made.items), 0] = [len(examples[n].inputs) for n in made.items]
    counted = tokens != self._padding
    counted &= np.arange(made.length) >= given
    return {"decoder_target_tokens": tokens, "counted": counted}

  def _read(self, lengths: objectives.Lengths) -> int:
    """Tokens that decide on an example's bucket."""
    if self._objective.decoder_only:
      return lengths.inputs + lengths.targets
    return lengths.inputs


@functools.partial(jax.jit, static_argnames="network")
def log_likelihoods(
  parameters: networks.Parameters,
  batch: Mapping[str, Any],
  *,
  network: networks.Network,
) -> Float[Array, " b"]:
  """Nats, float32, of the counted targets of each row; at most 0.

  Args:
    parameters: of the network.
    batch: "decoder_target_tokens" int [b, t], "counted" bool [b, t], and the
      "encoder_input_tokens" int [b, s] of an encoder–decoder; padded. A
      `decoder.DecoderConfig` has no start: without something that is given,
      the first target of a row is not counted.
    network: an encoder–decoder or a decoder-only network.
  """
  if isinstance(network, decoder.DecoderConfig):
    return _without_start(parameters, batch, network)
  targets = batch["decoder_target_tokens"]
  shifted = jnp.pad(targets, ((0, 0), (1, 0)))[:, :-1]
  features = {**batch, "decoder_input_tokens": shifted}
  logits = networks.logits(network, parameters, features, dropout=None)
  return likelihood.sequence_log_likelihoods(logits, targets, batch["counted"])


def _without_start(
  parameters: networks.Parameters,
  batch: Mapping[str, Any],
  network: decoder.DecoderConfig,
) -> Float[Array, " b"]:
  tokens = jnp.asarray(batch["decoder_target_tokens"])
  targets = jnp.maximum(tokens[:, 1:], 0)
  features = {
    "decoder_input_tokens": tokens[:, :-1],
    "decoder_target_tokens": targets,
  }
  logits = networks.logits(network, parameters, features, dropout=None)
  return likelihood.sequence_log_likelihoods(
    logits, targets, batch["counted"][:, 1:]
  )
