# SPDX-License-Identifier: Apache-2.0
"""The Ask-LLM step of Flan-T5 compiles for 16 chips, and fits.

Encoder, one pass of the decoder for both answers in their casings, and their
log-probabilities: kernels are kept in bf16, embeddings, head and norms in
fp32, as `judges.load` places them on the devices.
"""

import jax
import jax.numpy as jnp
import pytest

from data_efficient.models import networks, partitioning, published, topologies
from data_efficient.scorers import answers

LENGTH = 512
# "▁yes", "▁no" and other casings in T5's vocabulary; one is of two pieces.
ANSWERS = ((4273,), (2163,), (150,), (465,), (3, 8354))


def stored(network):
  """The shapes of the parameters as they are kept for scoring."""
  return jax.tree.map(
    lambda leaf, dtype: jax.ShapeDtypeStruct(leaf.shape, jnp.dtype(dtype)),
    networks.parameter_shapes(network),
    networks.operand_dtypes(network),
  )


@pytest.mark.parametrize(
  "size, chip, model_parallel, rows, limit_mib",
  [
    ("small", "v5e", 1, 512, 950),
    ("xl", "v5e", 1, 64, 6700),
    ("xl", "v6e", 1, 128, 6750),
    ("xxl", "v5e", 4, 128, 8600),
    ("xxl", "v6e", 4, 256, 8600),
  ],
)
def test_log_p_yes(
  size, chip, model_parallel, rows, limit_mib, tpu_slice, compile_for_tpu
):
  network = published.t5_1_1(size=size, dtype="bfloat16")
  mesh = partitioning.mesh(
    model_parallel=model_parallel, devices=tpu_slice(chip)
  )
  parameters = topologies.laid_out(
    stored(network), partitioning.parameter_shardings(network, mesh)
  )
  tokens = topologies.struct(mesh, (rows, LENGTH), jnp.int32, "data")

  def log_p(parameters, tokens):
    return answers.log_probabilities(
      parameters, tokens, network=network, answers=ANSWERS
    )

  with partitioning.activate(mesh):
    compile_for_tpu(
      log_p,
      parameters,
      tokens,
      limit=limit_mib * 2**20,
      options=topologies.QUICKLY,
    )
