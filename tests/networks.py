# SPDX-License-Identifier: Apache-2.0
"""Small networks for tests."""

from data_efficient.models import (
  decoder,
  decoder_layers,
  decoder_only,
  encoder_decoder,
  rotary,
)

FULL = decoder_layers.LayerKind(rotary=rotary.Rotary(theta=10000.0))


def t5(
  *,
  vocab_size: int,
  emb_dim: int = 16,
  num_heads: int = 2,
  mlp_dim: int = 32,
  layers: int = 1,
  embedding_init_stddev: float = 1.0,
  **others,
) -> encoder_decoder.T5Config:
  """A T5 in fp32 without dropout, `layers` deep on both sides."""
  return encoder_decoder.T5Config(
    vocab_size=vocab_size,
    emb_dim=emb_dim,
    num_heads=num_heads,
    head_dim=emb_dim // num_heads,
    mlp_dim=mlp_dim,
    num_encoder_layers=layers,
    num_decoder_layers=layers,
    dtype="float32",
    dropout_rate=0.0,
    embedding_init_stddev=embedding_init_stddev,
    **others,
  )


def alone(*, vocab_size: int) -> decoder_only.DecoderOnlyConfig:
  """A decoder-only network in fp32, one layer deep."""
  return decoder_only.DecoderOnlyConfig(
    vocab_size=vocab_size,
    emb_dim=16,
    num_heads=2,
    head_dim=8,
    mlp_dim=32,
    num_decoder_layers=1,
    dtype="float32",
    dropout_rate=0.0,
    embedding_init_stddev=1.0,
  )


def llama(*, vocab_size: int, **fields) -> decoder.DecoderConfig:
  """A Llama in fp32 with a tied head, two layers deep; or with other habits."""
  sizes = {
    **{"emb_dim": 16, "num_heads": 4, "num_kv_heads": 2, "head_dim": 8},
    **{"mlp_dim": 24, "layers": (FULL, FULL), "dtype": "float32"},
    **{"activation": "silu", "norm_epsilon": 1e-5, "norm_offset": 0.0},
    **{"query_scale": 8**-0.5, "qkv_bias": False, "out_bias": False},
    **{"mlp_bias": False, "head_norms": False, "post_norms": False},
    **{"logit_cap": None, "final_cap": None, "embedding_scale": 1.0},
    **{"tied_head": True, "embedding_init_stddev": 1.0},
  }
  return decoder.DecoderConfig(vocab_size=vocab_size, **sizes | fields)
