# SPDX-License-Identifier: Apache-2.0
"""Ask-LLM beside transformers and torch: documents a second.

The same 512 documents, the same weights, the same prompts, in four chunks that
all sides score in turn. Ours starts from text and stores six answers; theirs
starts from token ids and reads one:

  usual   `generate` of one token with its scores, padded batches in the
          documents' order
  best    sorted by length, one forward pass with one decoder step

FLOPs are those of the products of one unpadded forward pass as transformers
does it, so that work that is left out counts as speed.
"""

import argparse
import functools
import statistics

import numpy as np
import torch

from data_efficient.models import flops
from data_efficient.scorers import ask_llm, defences, prompts, questions
from tests.benchmarks import judging, report, train_step


def _sorted(inputs, *, model, yes: int, batch: int) -> np.ndarray:
  """log P(yes) by one forward pass of sorted, padded batches."""
  found = np.zeros(len(inputs))
  order = sorted(range(len(inputs)), key=lambda row: len(inputs[row]))
  with torch.inference_mode():
    for start in range(0, len(order), batch):
      rows = order[start : start + batch]
      tokens, mask = judging.padded([inputs[row] for row in rows])
      logits = model(
        input_ids=tokens,
        attention_mask=mask,
        decoder_input_ids=torch.zeros((len(rows), 1), dtype=torch.long),
      ).logits
      found[rows] = torch.log_softmax(logits[:, 0].float(), dim=-1)[:, yes]
  return found


def _generated(inputs, *, model, yes: int, batch: int) -> np.ndarray:
  """The same through `generate`, in the documents' order."""
  found = []
  with torch.inference_mode():
    for start in range(0, len(inputs), batch):
      tokens, mask = judging.padded(inputs[start : start + batch])
      made = model.generate(
        input_ids=tokens,
        attention_mask=mask,
        max_new_tokens=1,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
      )
      found.append(torch.log_softmax(made.logits[0].float(), dim=-1)[:, yes])
  return torch.cat(found).numpy()


def main() -> None:
  """Measures, compares the scores, prints."""
  judging.run(__doc__, _measure, documents=512)


def _measure(both: judging.Both, options: argparse.Namespace) -> None:
  question = questions.Question(
    prompt=prompts.ask_llm(),
    tokenizer=both.tokenizer,
    max_input_tokens=options.window,
    defence=defences.Defence(steps=()),
  )
  scorer = ask_llm.AskLlm(
    judge=both.ours,
    question=question,
    windows="head",
    max_windows=1,
    readout="yes",
    length_step=options.length_step,
    batch_tokens=options.batch_tokens,
    part_records=1024,
  )
  texts = judging.documents(options.documents)
  inputs = [question.input_ids(question.document(text)) for text in texts]
  (yes,) = question.answers[0]
  peers = {
    name: functools.partial(
      peer, model=both.theirs.model, yes=yes, batch=options.batch
    )
    for name, peer in (("usual", _generated), ("best", _sorted))
  }
  product = train_step.gemm(2048, "float32")
  product(1)
  scorer.score(texts)  # compiles every shape
  rates: dict[str, list[float]] = {}
  furthest = 0.0
  for number in range(options.chunks):
    chunk = slice(number, None, options.chunks)
    ours = judging.timed(rates, "ours", scorer.score, texts[chunk])
    scores = np.array(ours.columns["score"], np.float64)
    for name, peer in peers.items():
      theirs = judging.timed(rates, name, peer, inputs[chunk])
      furthest = max(furthest, np.nanmax(np.abs(scores - theirs)))
    rate = train_step.timed(product, 2 * 2048**3, seconds=2.0)
    rates.setdefault("GEMM", []).append(rate)
  _print(rates, inputs, both, furthest)


def _print(rates, inputs, both: judging.Both, furthest: float) -> None:
  network = both.ours.network
  work = statistics.mean(
    flops.encoder(network, source=len(ids)).total
    + flops.decoder(network, source=len(ids), target=1).total
    for ids in inputs
  )
  middle = {name: statistics.median(found) for name, found in rates.items()}
  possible = middle["GEMM"] / work
  report.table(
    f"ask_llm: {len(inputs)} documents, {work / 1e9:.3g} GFLOP each; scores"
    f" differ by at most {furthest:.1e}",
    ["", "documents/s: median (range)", "of the GEMM rate"],
    [
      (name, report.spread(rates[name]), middle[name] / possible)
      for name in ("ours", "best", "usual")
    ],
  )
  usual = report.paired(rates["ours"], rates["usual"])
  best = report.paired(rates["ours"], rates["best"])
  report.last_line(
    "ask_llm",
    ours=middle["ours"],
    peer=middle["best"],
    ratio=statistics.median(best),
    limit_fraction=middle["ours"] / possible,
    usual=middle["usual"],
    ratio_to_usual=statistics.median(usual),
    gemm_gflops=middle["GEMM"] / 1e9,
    furthest=furthest,
  )


if __name__ == "__main__":
  main()
