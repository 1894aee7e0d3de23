# SPDX-License-Identifier: Apache-2.0
"""Perplexity by span corruption beside transformers and torch, teacher-forced.

The same documents, weights, inputs and targets, in chunks that both sides score
in turn. Ours starts from text; theirs from token ids, sorted by length.
"""

import argparse
import functools
import statistics

import numpy as np
import torch
import xxhash

from data_efficient.models import flops
from data_efficient.scorers import objectives, perplexity, questions
from tests.benchmarks import judging, report, train_step


def _theirs(examples, *, model, batch: int) -> np.ndarray:
  """Mean log-likelihood of each example's targets."""
  found = np.zeros(len(examples))
  lengths = [len(example.inputs) for example in examples]
  order = np.argsort(lengths, kind="stable").tolist()
  with torch.inference_mode():
    for start in range(0, len(order), batch):
      rows = order[start : start + batch]
      tokens, mask = judging.padded([examples[row].inputs for row in rows])
      targets, counted = judging.padded([examples[row].targets for row in rows])
      logits = model(
        input_ids=tokens,
        attention_mask=mask,
        decoder_input_ids=torch.nn.functional.pad(targets, (1, 0))[:, :-1],
      ).logits
      losses = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), targets, reduction="none"
      )
      found[rows] = -((losses * counted).sum(1) / counted.sum(1))
  return found


def _example(scorer: perplexity.Perplexity, text: str) -> objectives.Example:
  """Inputs and targets of the text's head."""
  longest = scorer.window_tokens
  pieces = questions.head(scorer.tokenizer, text, longest + 1)
  window = objectives.Window(
    pieces[:longest],
    0,
    len(pieces) <= longest,
    xxhash.xxh3_64_intdigest(text.encode()),
  )
  return scorer.objective.examples(window, scorer.tokenizer)[0]


def main() -> None:
  """Measures, compares the scores, prints."""
  judging.run(__doc__, _measure, documents=256)


def _measure(both: judging.Both, options: argparse.Namespace) -> None:
  scorer = perplexity.Perplexity(
    judge=both.ours,
    tokenizer=both.tokenizer,
    objective=objectives.SpanCorruption(
      noise_density=0.15, mean_span_length=3.0, seed=0, repeats=1
    ),
    max_input_tokens=options.window,
    windows="head",
    max_windows=1,
    length_step=options.length_step,
    batch_tokens=options.batch_tokens,
    part_records=1024,
  )
  texts = judging.documents(options.documents)
  texts = [text for text in texts if len(text.split()) > 8]
  examples = [_example(scorer, text) for text in texts]
  peer = functools.partial(
    _theirs, model=both.theirs.model, batch=options.batch
  )
  product = train_step.gemm(2048, "float32")
  product(1)
  scorer.score(texts)  # compiles every shape
  rates: dict[str, list[float]] = {}
  furthest = 0.0
  for number in range(options.chunks):
    chunk = slice(number, None, options.chunks)
    ours = judging.timed(rates, "ours", scorer.score, texts[chunk])
    theirs = judging.timed(rates, "peer", peer, examples[chunk])
    scores = np.array(ours.columns["score"], np.float64)
    furthest = max(furthest, np.abs(scores - theirs).max())
    rate = train_step.timed(product, 2 * 2048**3, seconds=2.0)
    rates.setdefault("GEMM", []).append(rate)
  _print(rates, examples, both, furthest)


def _print(rates, examples, both: judging.Both, furthest: float) -> None:
  network = both.ours.network
  work = statistics.mean(
    flops.encoder(network, source=len(inputs)).total
    + flops.decoder(network, source=len(inputs), target=len(targets)).total
    for inputs, targets in examples
  )
  middle = {name: statistics.median(found) for name, found in rates.items()}
  possible = middle["GEMM"] / work
  report.table(
    f"perplexity: {len(examples)} documents, {work / 1e9:.3g} GFLOP each; means"
    f" differ by at most {furthest:.1e} nats",
    ["", "documents/s: median (range)", "of the GEMM rate"],
    [
      (name, report.spread(rates[name]), middle[name] / possible)
      for name in ("ours", "peer")
    ],
  )
  report.last_line(
    "perplexity",
    ours=middle["ours"],
    peer=middle["peer"],
    ratio=statistics.median(report.paired(rates["ours"], rates["peer"])),
    limit_fraction=middle["ours"] / possible,
    gemm_gflops=middle["GEMM"] / 1e9,
    furthest=furthest,
  )


if __name__ == "__main__":
  main()
