# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of decoder-only networks share: one Llama, twice.

100 million parameters with random weights, in our network and in that of
transformers; both compute in float32 with as many threads as there are cores.
"""

import os
import pathlib
import tempfile
from typing import NamedTuple

import torch
import transformers

from data_efficient.models import decoder_configs, tokenizer_files
from data_efficient.models.decoder import DecoderConfig
from data_efficient.scorers import judges
from tests.benchmarks import judging

# 32,000 pieces, as many as the network has.
_TOKENIZER = "tokenizers/mistral.tokenizer.json"
_SIZES = {
  **{"vocab_size": 32000, "hidden_size": 768, "intermediate_size": 2048},
  **{"num_hidden_layers": 12, "num_attention_heads": 12},
  **{"num_key_value_heads": 4, "max_position_embeddings": 2048},
  **{"tie_word_embeddings": True},
}


class Both(NamedTuple):
  """One Llama, ours and theirs, and a tokenizer."""

  ours: judges.Judge
  theirs: transformers.LlamaForCausalLM
  tokenizer: tokenizer_files.TokenizerJson


def llama() -> Both:
  """Random weights, written by transformers and read by us."""
  torch.manual_seed(0)
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  config = transformers.LlamaConfig(**_SIZES)
  theirs = transformers.LlamaForCausalLM(config).eval()
  with tempfile.TemporaryDirectory() as directory:
    theirs.save_pretrained(directory)
    network = decoder_configs.read_config(directory, dtype="float32")
    ours = judges.load(network=network, checkpoint=directory, kind="random")
  path = pathlib.Path(judging.SHARED, _TOKENIZER)
  return Both(ours, theirs, tokenizer_files.read(str(path)))


def work(network: DecoderConfig, *, tokens: int, past: int, logits: int):
  """FLOPs of the products of a forward pass, unpadded.

  Args:
    network: its sizes.
    tokens: that are read.
    past: that were read before them; each token sees these and, of the new
      ones, itself and those before.
    logits: positions that are given logits.
  """
  width, inner = network.emb_dim, network.num_heads * network.head_dim
  shared = network.num_kv_heads * network.head_dim
  weights = width * (2 * inner + 2 * shared + 3 * network.mlp_dim)
  seen = tokens * past + tokens * (tokens + 1) / 2
  return (
    len(network.layers) * (2.0 * weights * tokens + 4.0 * inner * seen)
    + 2.0 * width * network.vocab_size * logits
  )
