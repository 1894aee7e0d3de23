# SPDX-License-Identifier: Apache-2.0
"""Pairwise utility beside transformers and torch: pairs a second.

Real instructions, cut so that an example has 256 tokens and a target 64, of
which 32 are its answer. Ours reads an example once for all targets and gives
logits to answers alone; theirs reads whole rows, sorted by length:

  usual   logits of every position, as a model's call gives them
  best    logits of the answer's positions only

d(y | x) without an example is made before, on both sides. FLOPs are those that
a pair needs: its target's tokens after an example that is there, and logits of
the answer; the rate of whole rows is compared by the same count.
"""

import argparse
import functools
import gzip
import json
import statistics
from collections.abc import Sequence

import numpy as np
import torch

from data_efficient.scorers import pairwise_utility, templates
from data_efficient.scorers.pair_tokens import Example, Target
from tests.benchmarks import decoding, judging, report, train_step

_RECORDS = judging.SHARED / "data/instruct/dolly.jsonl.gz"

Pair = tuple[Example, Target]


def _stream(tokenizer, count: int) -> np.ndarray:
  """The first tokens of real instructions."""
  found: list[int] = []
  with gzip.open(_RECORDS, "rt", encoding="utf-8") as file:
    for line in file:
      row = json.loads(line)
      found += tokenizer.encode(f"{row['instruction']}\n{row['output']}\n")
      if len(found) >= count:
        return np.array(found[:count])
  raise SystemExit(f"{_RECORDS}: fewer than {count} tokens there")


def _pieces(tokenizer, options) -> tuple[list[Target], list[Example]]:
  sizes = (
    (options.targets, options.target),
    (
      options.examples * options.chunks,
      options.example,
    ),
  )
  (n, target), (m, example) = sizes
  tokens = _stream(tokenizer, n * target + m * example)
  query = target - options.answer
  targets = [
    Target(row[:query], row[:query], row[query:], None)
    for row in tokens[: n * target].reshape(n, target).tolist()
  ]
  rows = tokens[n * target :].reshape(m, example).tolist()
  return targets, [Example(row, None) for row in rows]


def _theirs(
  pairs: Sequence[Pair], *, model, batch: int, kept: bool
) -> np.ndarray:
  """d(y_i | x_j, y_j, x_i) of each pair, by whole rows."""
  rows = [[*e.tokens, *t.query, *t.answer] for e, t in pairs]
  found = np.zeros(len(rows))
  order = np.argsort([len(row) for row in rows], kind="stable").tolist()
  with torch.inference_mode():
    for start in range(0, len(order), batch):
      numbers = order[start : start + batch]
      tokens = torch.tensor([rows[number] for number in numbers])
      answer = len(pairs[numbers[0]][1].answer)
      words = {"logits_to_keep": answer + 1} if kept else {}
      logits = model(input_ids=tokens, use_cache=False, **words).logits
      logits = logits[:, -answer - 1 : -1]
      log_p = torch.log_softmax(logits.float(), dim=-1)
      chosen = log_p.gather(-1, tokens[:, -answer:, None])[..., 0]
      found[numbers] = -chosen.mean(dim=-1).numpy()
  return found


def _scorer(both: decoding.Both, options) -> pairwise_utility.PairwiseUtility:
  return pairwise_utility.PairwiseUtility(
    judge=both.ours,
    tokenizer=both.tokenizer,
    template=templates.in_context(),
    # In nats, which tell more of random weights than probabilities near 0.
    distance="mean_negative_log_likelihood",
    max_tokens=options.example + options.target,
    max_example_tokens=options.example,
    length_step=32,
    batch_tokens=options.batch_tokens,
    examples_at_once=options.examples_at_once,
  )


def main() -> None:
  """Measures, compares the utilities, prints."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--example", type=int, default=256, help="tokens")
  parser.add_argument("--target", type=int, default=64, help="tokens")
  parser.add_argument("--answer", type=int, default=32, help="of the target")
  parser.add_argument("--targets", type=int, default=64)
  parser.add_argument("--examples", type=int, default=4, help="a chunk")
  parser.add_argument("--chunks", type=int, default=4)
  parser.add_argument("--peer_pairs", type=int, default=32, help="a chunk")
  parser.add_argument("--batch", type=int, default=8, help="of the peers")
  parser.add_argument("--batch_tokens", type=int, default=4096)
  parser.add_argument("--examples_at_once", type=int, default=1)
  _measure(decoding.llama(), parser.parse_args())


def _measure(both: decoding.Both, options: argparse.Namespace) -> None:
  scorer = _scorer(both, options)
  targets, examples = _pieces(both.tokenizer, options)
  alone = scorer.alone(targets)
  scorer.block(targets, examples[: options.examples_at_once], alone)  # compiles
  product = train_step.gemm(2048, "float32")
  product(1)
  rates: dict[str, list[float]] = {}
  furthest = 0.0
  for number in range(options.chunks):
    start = number * options.examples
    block = examples[start : start + options.examples]
    every = [(e, t) for e in block for t in targets]
    utilities = judging.timed(
      rates, "ours", lambda _, b=block: scorer.block(targets, b, alone), every
    )
    chosen = np.linspace(0, len(every) - 1, options.peer_pairs).astype(int)
    for name, kept in (("usual", False), ("best", True)):
      peer = functools.partial(
        _theirs, model=both.theirs, batch=options.batch, kept=kept
      )
      theirs = judging.timed(
        rates, name, peer, [every[place] for place in chosen]
      )
      expected = alone[chosen % len(targets)] - theirs
      ours = utilities.T.reshape(-1)[chosen]
      furthest = max(furthest, np.abs(ours - expected).max())
    rate = train_step.timed(product, 2 * 2048**3, seconds=2.0)
    rates.setdefault("GEMM", []).append(rate)
  _print(rates, both, options, furthest)


def _print(rates, both: decoding.Both, options, furthest: float) -> None:
  # What predicts the answer's last token is the last one that is read.
  work = decoding.work(
    both.ours.network,
    tokens=options.target - 1,
    past=options.example,
    logits=options.answer,
  )
  middle = {name: statistics.median(found) for name, found in rates.items()}
  possible = middle["GEMM"] / work
  report.table(
    f"utility: {options.targets} targets of {options.target} tokens after "
    f"examples of {options.example}, {work / 1e9:.3g} GFLOP a pair; utilities "
    f"differ by at most {furthest:.1e} nats",
    ["", "pairs/s: median (range)", "of the GEMM rate"],
    [
      (name, report.spread(rates[name]), middle[name] / possible)
      for name in ("ours", "best", "usual")
    ],
  )
  usual = report.paired(rates["ours"], rates["usual"])
  best = report.paired(rates["ours"], rates["best"])
  report.last_line(
    "utility",
    ours=middle["ours"],
    peer=middle["usual"],
    ratio=statistics.median(usual),
    limit_fraction=middle["ours"] / possible,
    best=middle["best"],
    ratio_to_best=statistics.median(best),
    gemm_gflops=middle["GEMM"] / 1e9,
    furthest=furthest,
  )


if __name__ == "__main__":
  main()
