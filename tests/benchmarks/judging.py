# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of scoring share: documents, and one judge twice.

Flan-T5-small's shape with random weights, in our network and in that of
transformers; both compute in float32 with as many threads as there are cores.
"""

import argparse
import gzip
import json
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Sequence
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


def run(
  words: str,
  measure: Callable[[Both, argparse.Namespace], None],
  *,
  documents: int,
) -> None:
  """The command line of a benchmark: its options, and the judge."""
  parser = argparse.ArgumentParser(
    description=words, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--documents", type=int, default=documents)
  parser.add_argument("--chunks", type=int, default=4)
  parser.add_argument("--window", type=int, default=512)
  parser.add_argument("--batch", type=int, default=16, help="of the peers")
  parser.add_argument("--batch_tokens", type=int, default=4096)
  parser.add_argument("--length_step", type=int, default=32)
  options = parser.parse_args()
  with tempfile.TemporaryDirectory() as directory:
    both = flan_t5_small(pathlib.Path(directory, "judge"))
  measure(both, options)


def padded(
  inputs: Sequence[Sequence[int]],
) -> tuple[torch.Tensor, torch.Tensor]:
  """Token ids padded with 0 to the longest, and which of them count."""
  tokens = torch.zeros((len(inputs), max(map(len, inputs))), dtype=torch.long)
  for row, ids in zip(tokens, inputs, strict=True):
    row[: len(ids)] = torch.tensor(ids)
  return tokens, (tokens > 0).long()


def timed(rates: dict, name: str, score: Callable, documents: Sequence):
  """What `score` returns; documents a second are added to the rates."""
  began = time.perf_counter()
  found = score(documents)
  seconds = time.perf_counter() - began
  rates.setdefault(name, []).append(len(documents) / seconds)
  return found
