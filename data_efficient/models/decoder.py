# SPDX-License-Identifier: Apache-2.0
"""Decoder-only language models: Llama, Mistral, Qwen, Gemma.

One module; what the families differ in is data (`DecoderConfig`), read from
their `config.json` by `decoder_configs`. A text may be read in pieces: what was
read before is a `Cache`, which any number of continuations may share.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.linen import partitioning
from jaxtyping import Array, Bool, Float, Int

from data_efficient.models import (
  decoder_cache,
  decoder_layers,
  grouped_attention,
  layers,
  stacks,
)
from data_efficient.models.decoder_cache import Cache

Tokens = Int[Array, "b t"] | Int[np.ndarray, "b t"]
States = Float[Array, "b t e"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderConfig(decoder_layers.LayerSizes):
  """The sizes and habits of a decoder-only network.

  Attributes:
    vocab_size: rows of the embedding table and width of the logits.
    layers: the kind of each layer, first to last.
    embedding_scale: what token embeddings are multiplied with.
    tied_head: whether the logits are products with the embedding table.
    final_cap: c of c · tanh(logit / c), of the logits; None for none.
    embedding_init_stddev: of the token embeddings at initialisation.
    remat: what a backward pass computes again; see `stacks.Sizes`.
  """

  vocab_size: int
  layers: tuple[decoder_layers.LayerKind, ...]
  embedding_scale: float
  tied_head: bool
  final_cap: float | None
  embedding_init_stddev: float = 0.02
  remat: str = "none"

  dropout_rate: ClassVar[float] = 0.0
  required: ClassVar[tuple[str, ...]] = (
    "decoder_input_tokens",
    "decoder_target_tokens",
  )
  optional: ClassVar[tuple[str, ...]] = (
    "decoder_segment_ids",
    "decoder_positions",
  )

  def __post_init__(self):
    """Refuses sizes that make no network, with ValueError."""
    if self.dtype not in ("float32", "bfloat16"):
      raise ValueError(f"dtype {self.dtype!r}: expected float32 or bfloat16")
    if self.activation not in decoder_layers.ACTIVATIONS:
      raise ValueError(
        f"activation {self.activation!r}: expected one of "
        f"{sorted(decoder_layers.ACTIVATIONS)}"
      )
    if self.remat not in stacks.REMAT:
      raise ValueError(
        f"remat {self.remat!r}: expected one of {sorted(stacks.REMAT)}"
      )
    if self.num_heads % self.num_kv_heads or self.head_dim % 2:
      raise ValueError(
        f"{self.num_heads} heads of size {self.head_dim} and "
        f"{self.num_kv_heads} heads of keys: expected a divisor, and an even"
        " size"
      )

  def module(self) -> "CausalModel":
    """The network of these sizes."""
    return CausalModel(self)


class CausalModel(nn.Module):
  """A decoder-only network; trains as T5X's do, and scores."""

  config: DecoderConfig

  def setup(self):
    """Declares the parameter tree."""
    config = self.config
    self.token_embedder = layers.TokenEmbedder(
      config.vocab_size,
      config.emb_dim,
      init_stddev=config.embedding_init_stddev,
    )
    self.stack = [
      decoder_layers.DecoderLayer(config, kind, name=f"layers_{number}")
      for number, kind in enumerate(config.layers)
    ]
    self.decoder_norm = decoder_layers.Norm(config)
    if not config.tied_head:
      self.logits_dense = layers.Dense(
        config.vocab_size, axes=("embed", "vocab"), dtype="float32"
      )

  def read(
    self,
    tokens: Tokens,
    valid: Bool[Array, "b t"] | Bool[np.ndarray, "b t"],
    past: Cache | None = None,
  ) -> tuple[States, Cache]:
    """States of some more tokens, and a cache of them and all before.

    Args:
      tokens: ids; padding, wherever it stands, has any id.
      valid: which of them are tokens.
      past: what was read before; each of its rows is shared by as many
        neighbouring rows, and never copied for them. Positions go on from the
        number of its valid tokens.
    """
    valid = jnp.asarray(valid)
    positions = jnp.maximum(jnp.cumsum(valid, axis=1) - 1, 0)
    if past is not None:
      before = past.valid.sum(axis=1, keepdims=True)
      positions += decoder_cache.spread(before, len(valid))
    return self._stack(tokens, positions, valid, None, past)

  def extend(
    self,
    tokens: Tokens,
    valid: Bool[Array, "b t"] | Bool[np.ndarray, "b t"],
    cache: Cache,
    at: Int[Array, ""],
  ) -> tuple[States, Cache]:
    """States of some more tokens, and the cache with them in it.

    Unlike `read`, the cache keeps its size, so that a loop can carry it.

    Args:
      tokens: ids; padding has any id.
      valid: which of them are tokens.
      cache: with free places (`with_room`); as many rows.
      at: the first free place.
    """
    valid = jnp.asarray(valid)
    positions = jnp.cumsum(valid, axis=1) - 1
    positions += cache.valid.sum(axis=1, keepdims=True)
    positions = jnp.maximum(positions, 0)

    def put(whole: Array, some: Array) -> Array:
      return jax.lax.dynamic_update_slice_in_dim(whole, some, at, axis=1)

    read = Cache((), put(cache.positions, positions), put(cache.valid, valid))
    masks = self._masks(positions, read, None, before=at)
    past = [grouped_attention.Places(*kept, at) for kept in cache.layers]
    x, new = self._layers(tokens, positions, valid, masks, past)
    return x, read._replace(layers=tuple(new))

  def head(self, states: States) -> Float[Array, "b t v"]:
    """Logits, float32, of the tokens that follow."""
    config = self.config
    states = self.decoder_norm(states)
    if config.tied_head:
      table = self.token_embedder.variables["params"]["embedding"]
      logits = layers.einsum("bti,vi->btv", states, table, dtype="float32")
    else:
      logits = self.logits_dense(states)
    if config.final_cap is not None:
      logits = config.final_cap * jnp.tanh(logits / config.final_cap)
    return partitioning.with_sharding_constraint(
      logits, ("batch", "length", "vocab")
    )

  def __call__(
    self,
    decoder_input_tokens: Tokens,
    decoder_target_tokens: Tokens,
    decoder_segment_ids: Tokens | None = None,
    decoder_positions: Tokens | None = None,
    *,
    enable_dropout: bool = False,
  ) -> Float[Array, "b t v"]:
    """Logits, float32, of every position.

    Args:
      decoder_input_tokens: the targets shifted right, the start first; what
        is below 0 is padding.
      decoder_target_tokens: not needed: a position sees none after it.
      decoder_segment_ids: which packed example a position belongs to.
      decoder_positions: in its example; counted from 0 by default.
      enable_dropout: these networks have none.
    """
    del decoder_target_tokens, enable_dropout
    tokens = jnp.asarray(decoder_input_tokens)
    positions = decoder_positions
    if positions is None:
      positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
    states, _ = self._stack(
      tokens,
      jnp.asarray(positions),
      tokens >= 0,
      decoder_segment_ids,
      None,
    )
    return self.head(states)

  def _stack(self, tokens, positions, valid, segments, past):
    config = self.config
    read = Cache((), positions, valid)
    if past is not None:
      earlier = decoder_cache.spread(
        (past.positions, past.valid), len(positions)
      )
      read = Cache(
        (),
        *(
          jnp.concatenate(pair, axis=1)
          for pair in zip(earlier, (positions, valid), strict=True)
        ),
      )
    before = read.positions.shape[1] - positions.shape[1]
    masks = self._masks(positions, read, segments, before=before)
    pasts = (None,) * len(config.layers) if past is None else past.layers
    x, kept = self._layers(tokens, positions, valid, masks, pasts)
    if past is not None:
      # Whoever wants no cache pays for none: it is not computed then.
      kept = [
        grouped_attention.joined(
          decoder_cache.spread(earlier, len(positions)), new
        )
        for earlier, new in zip(past.layers, kept, strict=True)
      ]
    return x, read._replace(layers=tuple(kept))

  def _masks(self, positions, read, segments, *, before):
    windows = {kind.window for kind in self.config.layers}
    return decoder_cache.masks(
      positions, read, segments, before=before, windows=windows
    )

  def _layers(self, tokens, positions, valid, masks, pasts):
    """The stream after all layers, and what each of them keeps."""
    # Padding may have an id outside the table, which would read as nan.
    x = self.token_embedder(jnp.where(valid, jnp.asarray(tokens), 0))
    x = x * self.config.embedding_scale
    kept = []

    def call(layer, *arrays):
      return layer(*arrays)

    apply = stacks.rematerialized(self.config.remat, call)
    for layer, kind, past in zip(
      self.stack, self.config.layers, pasts, strict=True
    ):
      x, new = apply(layer, x, positions, masks[kind.window], past)
      kept.append(new)
    return x, kept
