# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of scoring share: documents, and one judge twice.

Flan-T5-small's shape with random weights, in our network and in that of
transformers; both compute in float32 with as many threads as there are cores.
"""

import gzip
import json
import os
import pathlib
from typing import NamedTuple

import numpy as np
import torch

from data_efficient.models import huggingface, tokenizers
from data_efficient.scorers import judges
from tests.benchmarks import passages
from tests.parity import peers

SHARED = pathlib.Path("../shared")
_VOCABULARY = "tokenizers/t5_cc_all.32000.100extra.spm.model"
_SMALL = {
  **{"vocab_size": 32128, "d_model": 512, "num_heads": 6, "d_kv": 64},
  **{"d_ff": 1024, "num_layers": 8, "num_decoder_layers": 8},
}


class Both(NamedTuple):
  """One judge, ours and theirs, and its tokenizer."""

  ours: judges.Judge
  theirs: peers.Peer
  tokenizer: tokenizers.SentencePiece


def documents(count: int) -> list[str]:
  """Whole documents of the real corpora, evenly of all of them."""
  texts = []
  for path in sorted(passages.REAL.glob("*.jsonl.gz")):
    with gzip.open(path, "rt", encoding="utf-8") as file:
      texts += [json.loads(line)["text"] for line in file]
  if not texts:
    raise SystemExit(f"{passages.REAL}: no real documents there")
  chosen = np.random.default_rng(0).permutation(len(texts))[:count]
  return [texts[row] for row in chosen]


def flan_t5_small(directory: pathlib.Path) -> Both:
  """Random weights, written by transformers and read by us."""
  theirs = peers.make(directory, sizes=_SMALL)
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  network = huggingface.read_config(directory, dtype="float32")
  ours = judges.load(network=network, checkpoint=str(directory), kind="random")
  vocabulary = tokenizers.SentencePiece(str(SHARED / _VOCABULARY))
  return Both(ours, theirs, vocabulary)
