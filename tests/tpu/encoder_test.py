# SPDX-License-Identifier: Apache-2.0
"""The embedding step of Sentence-T5-base compiles for 16 chips, and fits.

Kernels are kept in bf16, embeddings and norms in fp32, as `judges.load` places
them on the devices; and a k-means step and the search of neighbours at the
paper's 10,000 clusters of 768 dimensions.
"""

import jax
import jax.numpy as jnp
import pytest

from data_efficient.kernels import clustering
from data_efficient.models import (
  encoder,
  networks,
  partitioning,
  sentence_t5,
  topologies,
)
from data_efficient.scorers import embedding

LENGTH = 256
SENTENCE_T5_BASE = sentence_t5.SentenceT5Config(
  vocab_size=32128,
  emb_dim=768,
  num_heads=12,
  head_dim=64,
  mlp_dim=3072,
  num_encoder_layers=12,
  dtype="bfloat16",
  dropout_rate=0.0,
  embedding_init_stddev=1.0,
  gated=False,
  projected_dim=768,
  pooling="mean",
  normalise=True,
)
MINILM = encoder.BertConfig(
  vocab_size=30522,
  emb_dim=384,
  num_heads=12,
  mlp_dim=1536,
  num_encoder_layers=6,
  max_positions=512,
  token_types=2,
  activation="gelu",
  norm_epsilon=1e-12,
  pooling="mean",
  normalise=True,
  dtype="bfloat16",
)


@pytest.mark.parametrize(
  "network, chip, rows, limit_mib",
  [
    (SENTENCE_T5_BASE, "v5e", 1024, 960),
    (SENTENCE_T5_BASE, "v6e", 4096, 1900),
    (MINILM, "v5e", 4096, 1290),
  ],
  ids=["sentence_t5_v5e", "sentence_t5_v6e", "minilm_v5e"],
)
def test_embedding(network, chip, rows, limit_mib, tpu_slice, compile_for_tpu):
  mesh = partitioning.mesh(model_parallel=1, devices=tpu_slice(chip))
  stored = jax.tree.map(
    lambda leaf, dtype: jax.ShapeDtypeStruct(leaf.shape, jnp.dtype(dtype)),
    networks.parameter_shapes(network),
    networks.operand_dtypes(network),
  )
  parameters = topologies.laid_out(
    stored, partitioning.parameter_shardings(network, mesh)
  )
  tokens = topologies.struct(mesh, (rows, LENGTH), jnp.int32, "data")
  with partitioning.activate(mesh):
    compile_for_tpu(
      lambda parameters, tokens: embedding._embed(
        parameters, tokens, network=network
      ),
      parameters,
      tokens,
      limit=limit_mib * 2**20,
      options=topologies.QUICKLY,
    )


def test_a_step_of_k_means(slice_of_chips, compile_for_tpu):
  def struct(shape, dtype, *axes):
    return topologies.struct(slice_of_chips, shape, dtype, *axes)

  compiled = compile_for_tpu(
    lambda *arguments: clustering.step(*arguments),
    struct((10_000, 768), jnp.float32),
    # A sample of 2.56 million vectors.
    struct((78, 32_768, 768), jnp.float32, None, "data"),
    struct((78, 32_768), jnp.bool_, None, "data"),
    limit=735 * 2**20,
    options=topologies.QUICKLY,
  )
  assert "operand_precision={highest,highest}" in compiled.as_text()


def test_neighbours_of_a_cluster(chip, compile_for_tpu):
  vectors = topologies.struct(chip, (4096, 768), jnp.float32)
  ranks = topologies.struct(chip, (4096,), jnp.int32)
  compile_for_tpu(
    lambda *arguments: clustering.nearest(*arguments, earlier=True),
    vectors,
    ranks,
    vectors,
    ranks,
    limit=110 * 2**20,
  )
