# SPDX-License-Identifier: Apache-2.0
"""Small networks for tests."""

from data_efficient.models import encoder_decoder


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
