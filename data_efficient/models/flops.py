# SPDX-License-Identifier: Apache-2.0
"""Floating-point operations of a network's matrix products, by formula.

A product of [n, k] and [k, m] is 2·n·k·m. Norms, softmax and look-ups are left
out, which is a few percent at the widths for which a plan matters. Everything
is of one sequence, padding included: it is computed like a token.

  e width · a heads × head size · m feed-forward width · v vocabulary
  s tokens of the encoder · t tokens of the decoder
"""

from typing import NamedTuple

from data_efficient.models import decoder_only, encoder_decoder, stacks

T5 = encoder_decoder.T5Config
LanguageModel = decoder_only.DecoderOnlyConfig


class Products(NamedTuple):
  """Forward FLOPs of a network, by what a backward pass does with them.

  Attributes:
    projections: products with weights, of all layers.
    last_projections: those among them that end a layer: nothing in the layer
      needs their result, so that they are never computed again.
    attention: products of queries, keys and values.
    head: the logits.
  """

  projections: float
  last_projections: float
  attention: float
  head: float

  @property
  def total(self) -> float:
    """Of one forward pass."""
    return self.projections + self.attention + self.head


def encoder(network: T5, *, source: int) -> Products:
  """The encoder's layers over `source` tokens."""
  return _layers(network, network.num_encoder_layers, source)


def decoder(network: T5, *, source: int, target: int) -> Products:
  """The decoder over `target` tokens that attend to `source`; all logits.

  What training does: keys and values of every encoder position, a target sees
  all targets (masked ones are computed too).
  """
  a = _inner(network)
  own = _layers(network, network.num_decoder_layers, target)
  # Query and output of t positions, key and value of s.
  cross = 4.0 * network.emb_dim * a * (target + source)
  across = 4.0 * a * target * source
  return Products(
    own.projections + network.num_decoder_layers * cross,
    own.last_projections,
    own.attention + network.num_decoder_layers * across,
    _head(network, target),
  )


def answer_step(network: T5, *, source: int, target: int) -> Products:
  """The decoder over a few positions, with folded attention to the encoder.

  Per layer the four projections of the cross-attention are applied to the t
  queries, and both of its products run over the width e once a head, in place
  of the head's size (`Attention._folded`).
  """
  own = _layers(network, network.num_decoder_layers, target)
  a, e = _inner(network), network.emb_dim
  across = 4.0 * network.num_heads * e * target * source
  return Products(
    own.projections + network.num_decoder_layers * 8.0 * e * a * target,
    own.last_projections,
    own.attention + network.num_decoder_layers * across,
    _head(network, target),
  )


def language_model(
  network: LanguageModel, *, length: int, last: int
) -> Products:
  """A decoder-only network over `length` tokens; logits of the `last` ones."""
  layers = _layers(network, network.num_decoder_layers, length)
  return layers._replace(head=_head(network, last))


class Training(NamedTuple):
  """FLOPs of one sequence in one train step.

  Attributes:
    model: three times the forward pass: what the mathematics asks for.
    executed: with what remat computes again.
  """

  model: float
  executed: float


def training(network: T5 | LanguageModel, *, source: int, target: int):
  """FLOPs of a train step: a forward pass, and twice that backward.

  Args:
    network: `remat` says what is computed again: "full" the layers up to
      their last products, "minimal" the products that have no weights.
    source: tokens of the inputs; a decoder-only network reads inputs and
      targets in one row.
    target: tokens of the targets.

  Returns:
    A `Training`, of one sequence.
  """
  forward = _forward(network, source, target)
  model = 3.0 * sum(part.total for part in forward)
  again = {
    "none": 0.0,
    "minimal": sum(part.attention for part in forward),
    "full": sum(
      part.projections + part.attention - part.last_projections
      for part in forward
    ),
  }
  return Training(model, model + again[network.remat])


def _forward(network, source: int, target: int) -> list[Products]:
  if isinstance(network, LanguageModel):
    length = source + target
    return [language_model(network, length=length, last=length)]
  return [
    encoder(network, source=source),
    decoder(network, source=source, target=target),
  ]


def _inner(network: stacks.Sizes) -> int:
  return network.num_heads * network.head_dim


def _head(network: stacks.Sizes, positions: int) -> float:
  return 2.0 * network.emb_dim * network.vocab_size * positions


def _layers(network: stacks.Sizes, count: int, tokens: int) -> Products:
  """Self-attention and the gated feed-forward block, so many times."""
  a, e, m = _inner(network), network.emb_dim, network.mlp_dim
  return Products(
    projections=count * tokens * (8.0 * e * a + 6.0 * e * m),
    last_projections=count * tokens * 2.0 * e * m,
    attention=count * 4.0 * a * tokens**2,
    head=0.0,
  )
