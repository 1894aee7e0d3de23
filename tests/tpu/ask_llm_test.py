# SPDX-License-Identifier: Apache-2.0
"""The Ask-LLM step compiles for 16 chips at the sizes of Flan-T5, and fits.

Encoder, one decoder step, log P(answer): parameters in fp32, matmuls in bf16.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.kernels import answer
from data_efficient.models import encoder_decoder, partitioning
from data_efficient.scorers import ask_llm
from tests.tpu import harness

START = np.zeros(1, np.int32)
ANSWER = np.array([4273], np.int32)  # "▁yes" of T5's vocabulary
LENGTH = 512


def flan_t5(**sizes):
  return encoder_decoder.T5Config(
    vocab_size=32128,
    head_dim=64,
    dtype="bfloat16",
    dropout_rate=0.0,
    embedding_init_stddev=1.0,
    **sizes,
  )


SMALL = flan_t5(
  emb_dim=512,
  num_heads=6,
  mlp_dim=1024,
  num_encoder_layers=8,
  num_decoder_layers=8,
)
XL = flan_t5(
  emb_dim=2048,
  num_heads=32,
  mlp_dim=5120,
  num_encoder_layers=24,
  num_decoder_layers=24,
)


@pytest.mark.parametrize(
  "config,model_parallel,batch_size,limit_gib",
  [
    pytest.param(SMALL, 1, 512, 1, id="flan_t5_small"),
    pytest.param(XL, 8, 64, 4, id="flan_t5_xl"),
  ],
)
def test_log_p_yes(
  config, model_parallel, batch_size, limit_gib, tpu_devices, compile_for_tpu
):
  mesh = partitioning.mesh(model_parallel=model_parallel, devices=tpu_devices)
  parameters = harness.laid_out(
    encoder_decoder.parameter_shapes(config),
    partitioning.parameter_shardings(config, mesh),
  )
  tokens = harness.struct(mesh, (batch_size, LENGTH), jnp.int32, "data")

  def log_p_yes(parameters, tokens):
    encoded = ask_llm.encode(parameters, tokens, config=config)
    logits = ask_llm.decode(parameters, encoded, tokens, START, config=config)
    return answer.log_probability(logits, ANSWER)

  with partitioning.activate(mesh):
    compile_for_tpu(log_p_yes, parameters, tokens, limit=limit_gib * 2**30)
