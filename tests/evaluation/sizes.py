# SPDX-License-Identifier: Apache-2.0
"""Networks of several sizes, as a run.json states them."""

from tests.evaluation import fakes

_SHAPE = {
  "vocab_size": 640,
  "num_heads": 2,
  "head_dim": 8,
  "num_encoder_layers": 1,
  "num_decoder_layers": 1,
  "dtype": "float32",
  "dropout_rate": 0.0,
  "embedding_init_stddev": 0.1,
  "relative_attention_num_buckets": 32,
  "relative_attention_max_distance": 128,
}


def network(width: int, **changes) -> dict:
  return {**_SHAPE, "emb_dim": width, "mlp_dim": 2 * width, **changes}


def compared_by(width: int, **changes) -> dict:
  return {**fakes.COMPARED_BY, "network": network(width), **changes}
