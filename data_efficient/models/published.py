# SPDX-License-Identifier: Apache-2.0
"""Published networks by the name of their size, for plans without files.

The same numbers as gin/models/t5_1_1_SIZE.gin, which train and score; a test
compares them. Here two sizes can stand in one configuration: a judge's and
that of the network that is trained.
"""

from typing import NamedTuple

from data_efficient.models import encoder_decoder


class _Size(NamedTuple):
  emb_dim: int
  num_heads: int
  mlp_dim: int
  layers: int


T5_1_1 = {
  "small": _Size(512, 6, 1024, 8),
  "base": _Size(768, 12, 2048, 12),
  "large": _Size(1024, 16, 2816, 24),
  "xl": _Size(2048, 32, 5120, 24),
  "xxl": _Size(4096, 64, 10240, 24),
}


def t5_1_1(
  *, size: str, dtype: str, remat: str = "none"
) -> encoder_decoder.T5Config:
  """T5 1.1, and Flan-T5, of a published size.

  Args:
    size: "small", "base", "large", "xl" or "xxl".
    dtype: of the matmuls' operands.
    remat: see `stacks.Sizes`.

  Raises:
    ValueError: an unknown size.
  """
  if size not in T5_1_1:
    raise ValueError(
      f"no T5 1.1 of size {size!r}; there are {', '.join(T5_1_1)}"
    )
  sizes = T5_1_1[size]
  return encoder_decoder.T5Config(
    vocab_size=32128,
    emb_dim=sizes.emb_dim,
    num_heads=sizes.num_heads,
    head_dim=64,
    mlp_dim=sizes.mlp_dim,
    num_encoder_layers=sizes.layers,
    num_decoder_layers=sizes.layers,
    dtype=dtype,
    dropout_rate=0.0,
    embedding_init_stddev=1.0,
    remat=remat,
  )
