# SPDX-License-Identifier: Apache-2.0
"""Greedy decoding beside transformers' `generate`: new tokens a second.

The same Llama and the same prompts, real text of different lengths, padded on
the left, in one batch; no row ends before its last token. Both keep keys and
values; the prompts' own pass is part of the time.
"""

import argparse
import os
import statistics
import time

import numpy as np
import torch

from data_efficient.training import causal_decoding
from tests.benchmarks import decoding, judging, report

# No token is an end: an id that the network has not.
_NEVER = 10**6


def _prompts(both: decoding.Both, options) -> causal_decoding.Prompts:
  texts = judging.documents(4 * options.rows)
  rows = [both.tokenizer.encode(text)[: options.prompt] for text in texts]
  rows = [row for row in rows if len(row) > 8][: options.rows]
  tokens = np.zeros((len(rows), options.prompt), np.int32)
  valid = np.zeros(tokens.shape, bool)
  for number, row in enumerate(rows):
    # The longest first; then shorter and shorter.
    kept = row[: max(8, len(row) * (len(rows) - number) // len(rows))]
    tokens[number, -len(kept) :] = kept
    valid[number, -len(kept) :] = True
  return causal_decoding.Prompts(tokens, valid)


def _ours(both: decoding.Both, prompts, length: int) -> np.ndarray:
  found = causal_decoding.greedy(
    both.ours.parameters,
    prompts,
    network=both.ours.network,
    length=length,
    eos_ids=np.array([_NEVER], np.int32),
  )
  return np.asarray(found.tokens)


def _theirs(both: decoding.Both, prompts, length: int) -> np.ndarray:
  with torch.inference_mode():
    found = both.theirs.generate(
      input_ids=torch.tensor(prompts.tokens.astype(np.int64)),
      attention_mask=torch.tensor(prompts.valid).long(),
      max_new_tokens=length,
      min_new_tokens=length,
      do_sample=False,
      pad_token_id=0,
    )
  return found[:, prompts.tokens.shape[1] :].numpy()


def main() -> None:
  """Measures, compares the tokens, prints."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--rows", type=int, default=8)
  parser.add_argument("--prompt", type=int, default=128)
  parser.add_argument("--tokens", type=int, default=32)
  parser.add_argument("--repeats", type=int, default=5)
  options = parser.parse_args()
  both = decoding.llama()
  prompts = _prompts(both, options)
  found = {}

  def rate(side, function) -> float:
    began = time.perf_counter()
    found[side] = function(both, prompts, options.tokens)
    return found[side].size / (time.perf_counter() - began)

  sides = {
    "ours": lambda: rate("ours", _ours),
    "peer": lambda: rate("peer", _theirs),
  }
  for measure in sides.values():
    measure()  # compiles
  rates = report.alternating(sides, options.repeats)
  same = float((found["ours"] == found["peer"]).mean())
  middle = {side: statistics.median(values) for side, values in rates.items()}
  report.table(
    f"generate: {len(prompts.tokens)} prompts of up to {options.prompt} tokens,"
    f" {options.tokens} new ones each, {len(os.sched_getaffinity(0))} cores",
    ["", "new tokens/s: median (range)"],
    [(side, report.spread(values)) for side, values in rates.items()],
  )
  report.last_line(
    "generate",
    ours=middle["ours"],
    peer=middle["peer"],
    ratio=statistics.median(report.paired(rates["ours"], rates["peer"])),
    limit_fraction=None,
    same_tokens=same,
  )


if __name__ == "__main__":
  main()
