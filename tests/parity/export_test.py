# SPDX-License-Identifier: Apache-2.0
"""What is exported is the network that transformers computes."""

import jax
import numpy as np
import pytest
import torch
import transformers

from data_efficient.models import (
  checkpoints,
  decoder_configs,
  decoder_files,
  huggingface,
  networks,
)
from tests.networks import t5
from tests.parity import decoders_test

LIMIT = 1e-4


@pytest.mark.parametrize("case", decoders_test.CASES)
def test_a_decoder(case, tmp_path):
  """Of each habit, from the network alone: its own file is not copied."""
  theirs = decoders_test._peer(case, tmp_path / "published")
  config = decoder_configs.read_config(tmp_path / "published", dtype="float32")
  parameters = checkpoints.load_parameters(
    tmp_path / "published", config=config
  )
  exported = tmp_path / "exported"
  exported.mkdir()
  decoder_files.save(exported, parameters, config=config)
  found = transformers.AutoModelForCausalLM.from_pretrained(
    exported, dtype=torch.float32
  )
  tokens = torch.tensor(np.random.default_rng(0).integers(0, 96, (2, 24)))
  with torch.inference_mode():
    ours, wanted = (
      torch.log_softmax(model.eval()(tokens).logits.double(), -1)
      for model in (found, theirs)
    )
  np.testing.assert_allclose(ours, wanted, atol=LIMIT, rtol=0)
  assert np.ptp(wanted) > 1


def test_a_t5(tmp_path):
  config = t5(
    vocab_size=64, emb_dim=32, layers=2, relative_attention_num_buckets=16
  )
  parameters = networks.init_parameters(config, jax.random.key(0))
  huggingface.save(tmp_path, parameters, config=config)
  model = transformers.AutoModelForSeq2SeqLM.from_pretrained(
    tmp_path, dtype=torch.float32
  ).eval()
  rng = np.random.default_rng(0)
  source, inputs = rng.integers(1, 64, (2, 9)), rng.integers(1, 64, (2, 7))
  inputs[:, 0] = 0
  batch = {
    "encoder_input_tokens": source,
    "decoder_input_tokens": inputs,
    "decoder_target_tokens": np.ones_like(inputs),
  }
  ours = networks.logits(config, parameters, batch, dropout=None)
  with torch.inference_mode():
    theirs = model(
      input_ids=torch.tensor(source), decoder_input_ids=torch.tensor(inputs)
    ).logits
  np.testing.assert_allclose(
    jax.nn.log_softmax(ours), torch.log_softmax(theirs, -1), atol=LIMIT, rtol=0
  )
