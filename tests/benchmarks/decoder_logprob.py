# SPDX-License-Identifier: Apache-2.0
"""Documents read by a Llama beside transformers and torch, teacher-forced.

The same documents, weights and tokens, in chunks that both sides score in turn.
Ours starts from text; theirs from token ids, sorted by length.
"""

import argparse
import statistics

import numpy as np
import torch

from data_efficient.scorers import objectives, perplexity, questions
from tests.benchmarks import decoding, judging, report, train_step


def _theirs(documents, *, model, batch: int) -> np.ndarray:
  """Mean log-likelihood of each document's tokens but the first."""
  found = np.zeros(len(documents))
  order = np.argsort([len(ids) for ids in documents], kind="stable").tolist()
  with torch.inference_mode():
    for start in range(0, len(order), batch):
      rows = order[start : start + batch]
      longest = max(len(documents[row]) for row in rows)
      tokens = torch.zeros((len(rows), longest), dtype=torch.long)
      counted = torch.zeros((len(rows), longest), dtype=torch.bool)
      for at, row in enumerate(rows):
        tokens[at, : len(documents[row])] = torch.tensor(documents[row])
        counted[at, : len(documents[row])] = True
      # Causal: no token sees the padding behind it.
      logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
      losses = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), tokens[:, 1:], reduction="none"
      )
      kept = counted[:, 1:]
      found[rows] = -((losses * kept).sum(1) / kept.sum(1))
  return found


def _scorer(both: decoding.Both, options) -> perplexity.Perplexity:
  return perplexity.Perplexity(
    judge=both.ours,
    tokenizer=both.tokenizer,
    objective=objectives.CausalLm(),
    max_input_tokens=options.window,
    windows="head",
    max_windows=1,
    length_step=options.length_step,
    batch_tokens=options.batch_tokens,
    part_records=1024,
  )


def _read(scorer: perplexity.Perplexity, text: str) -> list[int]:
  """The tokens that our scorer makes of a text."""
  longest = scorer.window_tokens
  pieces = questions.head(scorer.tokenizer, text, longest + 1)
  window = objectives.Window(pieces[:longest], 0, len(pieces) <= longest, 0)
  (example,) = scorer.objective.examples(window, scorer.tokenizer)
  return [*example.inputs, *example.targets]


def main() -> None:
  """Measures, compares the scores, prints."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--documents", type=int, default=512)
  parser.add_argument("--chunks", type=int, default=4)
  parser.add_argument("--window", type=int, default=512)
  parser.add_argument("--batch", type=int, default=8, help="of the peer")
  parser.add_argument("--batch_tokens", type=int, default=4096)
  parser.add_argument("--length_step", type=int, default=32)
  options = parser.parse_args()
  both = decoding.llama()
  scorer = _scorer(both, options)
  texts = judging.documents(options.documents)
  texts = [text for text in texts if len(text.split()) > 8]
  documents = [_read(scorer, text) for text in texts]
  product = train_step.gemm(2048, "float32")
  product(1)
  scorer.score(texts)  # compiles every shape
  rates: dict[str, list[float]] = {}
  furthest = 0.0
  for number in range(options.chunks):
    chunk = slice(number, None, options.chunks)
    ours = judging.timed(rates, "ours", scorer.score, texts[chunk])
    theirs = judging.timed(
      rates,
      "peer",
      lambda ids: _theirs(ids, model=both.theirs, batch=options.batch),
      documents[chunk],
    )
    scores = np.array(ours.columns["score"], np.float64)
    furthest = max(furthest, np.abs(scores - theirs).max())
    rate = train_step.timed(product, 2 * 2048**3, seconds=2.0)
    rates.setdefault("GEMM", []).append(rate)
  _print(rates, documents, both, furthest)


def _print(rates, documents, both: decoding.Both, furthest: float) -> None:
  work = statistics.mean(
    decoding.work(both.ours.network, tokens=n, past=0, logits=n)
    for n in (len(ids) - 1 for ids in documents)
  )
  middle = {name: statistics.median(found) for name, found in rates.items()}
  possible = middle["GEMM"] / work
  report.table(
    f"decoder_logprob: {len(documents)} documents, {work / 1e9:.3g} GFLOP each;"
    f" means differ by at most {furthest:.1e} nats",
    ["", "documents/s: median (range)", "of the GEMM rate"],
    [
      (name, report.spread(rates[name]), middle[name] / possible)
      for name in ("ours", "peer")
    ],
  )
  report.last_line(
    "decoder_logprob",
    ours=middle["ours"],
    peer=middle["peer"],
    ratio=statistics.median(report.paired(rates["ours"], rates["peer"])),
    limit_fraction=middle["ours"] / possible,
    gemm_gflops=middle["GEMM"] / 1e9,
    furthest=furthest,
  )


if __name__ == "__main__":
  main()
