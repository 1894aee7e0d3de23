# SPDX-License-Identifier: Apache-2.0
"""Greedy decoding against transformers' `generate`, in fp32."""

import numpy as np
import pytest
import torch
import transformers

from data_efficient.models import checkpoints, decoder_configs
from data_efficient.training import causal_decoding

LENGTH, PROMPTS = 24, (17, 4, 9, 1)
_SIZES = {
  **{"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48},
  **{"num_hidden_layers": 4, "num_attention_heads": 4, "head_dim": 16},
  **{"num_key_value_heads": 2, "max_position_embeddings": 256},
}
CASES = {
  "llama": ("Llama", {}),
  # Windows that prompts are longer than, and that decoding outgrows; caps.
  "gemma2": ("Gemma2", {"sliding_window": 5, "query_pre_attn_scalar": 24}),
  "mistral": ("Mistral", {"sliding_window": 6}),
}


@pytest.fixture(scope="module", params=CASES)
def pair(request, tmp_path_factory):
  directory = tmp_path_factory.mktemp(request.param)
  family, fields = CASES[request.param]
  config = getattr(transformers, f"{family}Config")(**_SIZES | fields)
  torch.manual_seed(1)
  model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
  with torch.no_grad():
    for name, parameter in model.named_parameters():
      # Small embeddings, so that a token is not followed by itself.
      if "norm" not in name:
        parameter.normal_(0.0, 0.1 if "embed" in name else 0.6)
  model.save_pretrained(directory)
  ours = decoder_configs.read_config(directory, dtype="float32")
  parameters = checkpoints.load_parameters(directory, config=ours)
  return model, ours, parameters


def _prompts():
  """Prompts of several lengths, padded on the left."""
  rng = np.random.default_rng(0)
  longest = max(PROMPTS)
  tokens = rng.integers(3, 96, (len(PROMPTS), longest))
  valid = np.arange(longest) >= longest - np.array(PROMPTS)[:, None]
  return tokens, valid


def _generated(model, tokens, valid, eos_ids):
  """Ids of each row, its end included."""
  with torch.inference_mode():
    found = model.generate(
      input_ids=torch.tensor(tokens),
      attention_mask=torch.tensor(valid).long(),
      max_new_tokens=LENGTH,
      do_sample=False,
      eos_token_id=eos_ids,
      pad_token_id=0,
    )
  rows = []
  for row in found[:, tokens.shape[1] :].tolist():
    ends = [n for n, number in enumerate(row) if number in eos_ids]
    rows.append(row[: ends[0] + 1] if ends else row)
  return rows


def _greedy(ours, parameters, tokens, valid, eos_ids):
  found = causal_decoding.greedy(
    parameters,
    causal_decoding.Prompts(tokens.astype(np.int32), valid),
    network=ours,
    length=LENGTH,
    eos_ids=np.array(eos_ids, np.int32),
  ).tokens
  return [[n for n in row if n >= 0] for row in np.asarray(found).tolist()]


def test_tokens_are_those_of_generate(pair):
  model, ours, parameters = pair
  tokens, valid = _prompts()
  whole = _generated(model, tokens, valid, [1, 2])
  assert len({number for row in whole for number in row}) > 8
  assert _greedy(ours, parameters, tokens, valid, [1, 2]) == whole
  # Ends that rows come to at different steps.
  ends = [whole[0][7], whole[2][3]]
  expected = _generated(model, tokens, valid, ends)
  assert len(set(map(len, expected))) > 1
  assert _greedy(ours, parameters, tokens, valid, ends) == expected
