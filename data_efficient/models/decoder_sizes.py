# SPDX-License-Identifier: Apache-2.0
"""Decoders of the Llama kind by their sizes, to be trained from scratch."""

from data_efficient.models import decoder, decoder_layers, rotary


def llama(
  *,
  vocab_size: int,
  emb_dim: int,
  num_layers: int,
  num_heads: int,
  num_kv_heads: int,
  mlp_dim: int,
  tied_head: bool,
  dtype: str,
  rope_theta: float = 10_000.0,
) -> decoder.DecoderConfig:
  """A network with Llama's habits (Touvron et al. 2023, arXiv 2302.13971).

  Args:
    vocab_size: rows of the embedding table.
    emb_dim: width, a multiple of twice `num_heads`.
    num_layers: layers.
    num_heads: of queries.
    num_kv_heads: of keys and values, a divisor of `num_heads`.
    mlp_dim: width inside the feed-forward block.
    tied_head: whether the logits are products with the embedding table.
    dtype: "float32" or "bfloat16", of the products' operands.
    rope_theta: base of the rotary angles.

  Raises:
    ValueError: sizes that do not divide.
  """
  if emb_dim % num_heads:
    raise ValueError(
      f"emb_dim = {emb_dim} is no multiple of num_heads = {num_heads}"
    )
  head_dim = emb_dim // num_heads
  kind = decoder_layers.LayerKind(rotary=rotary.Rotary(theta=rope_theta))
  return decoder.DecoderConfig(
    vocab_size=vocab_size,
    emb_dim=emb_dim,
    num_heads=num_heads,
    num_kv_heads=num_kv_heads,
    head_dim=head_dim,
    mlp_dim=mlp_dim,
    layers=(kind,) * num_layers,
    dtype=dtype,
    activation="silu",
    norm_epsilon=1e-5,
    norm_offset=0.0,
    query_scale=head_dim**-0.5,
    qkv_bias=False,
    out_bias=False,
    mlp_bias=False,
    head_norms=False,
    post_norms=False,
    logit_cap=None,
    final_cap=None,
    embedding_scale=1.0,
    tied_head=tied_head,
  )
