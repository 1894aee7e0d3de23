# SPDX-License-Identifier: Apache-2.0
"""Embedding beside sentence-transformers: documents a second.

all-MiniLM-L6-v2 with its own weights, the same documents cut to 256 tokens, on
as many threads as there are cores, in float32, in four chunks that both sides
embed in turn. Both start from text: ours tokenizes a document's head in
another thread while the device computes.
"""

import argparse
import os
import statistics

import numpy as np
import sentence_transformers
import torch

from data_efficient.models import encoder, encoder_files, tokenizer_files
from data_efficient.scorers import embedding, judges
from tests.benchmarks import judging, report, train_step
from tests.parity import encoders


def main() -> None:
  """Measures, compares the vectors, prints."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--documents", type=int, default=1024)
  parser.add_argument("--chunks", type=int, default=4)
  parser.add_argument("--tokens", type=int, default=256)
  parser.add_argument("--batch", type=int, default=32, help="of the peer")
  parser.add_argument("--batch_tokens", type=int, default=1024)
  parser.add_argument("--length_step", type=int, default=32)
  _measure(parser.parse_args())


def _scorer(options: argparse.Namespace) -> embedding.Embedding:
  directory = str(encoders.minilm())
  network = encoder_files.read_config(directory, dtype="float32")
  return embedding.Embedding(
    encoder=judges.load(network=network, checkpoint=directory, kind="minilm"),
    tokenizer=tokenizer_files.read(directory),
    prompt="",
    max_input_tokens=options.tokens,
    length_step=options.length_step,
    batch_tokens=options.batch_tokens,
    vector_type="float32",
    part_records=1024,
  )


def _measure(options: argparse.Namespace) -> None:
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  peer = sentence_transformers.SentenceTransformer(
    str(encoders.minilm()), device="cpu"
  )
  peer.max_seq_length = options.tokens
  scorer = _scorer(options)
  texts = judging.documents(options.documents)

  def theirs(texts):
    return peer.encode(texts, batch_size=options.batch)

  product = train_step.gemm(2048, "float32")
  product(1)
  scorer.score(texts)  # compiles every shape
  theirs(texts[:64])
  rates: dict[str, list[float]] = {}
  furthest = 0.0
  for number in range(options.chunks):
    chunk = texts[number :: options.chunks]
    ours = judging.timed(rates, "ours", scorer.score, chunk)
    other = judging.timed(rates, "sentence-transformers", theirs, chunk)
    difference = np.abs(ours.columns["embedding"] - other).max()
    furthest = max(furthest, float(difference))
    rate = train_step.timed(product, 2 * 2048**3, seconds=2.0)
    rates.setdefault("GEMM", []).append(rate)
  _print(rates, scorer, texts, furthest)


def _print(rates, scorer, texts, furthest: float) -> None:
  network = scorer.encoder.network
  lengths = [(batch != 0).sum(axis=1) for batch in scorer.pack(texts).batches]
  tokens = np.concatenate(lengths).astype(float)
  work = _flops(network, tokens) / len(texts)
  middle = {name: statistics.median(found) for name, found in rates.items()}
  possible = middle["GEMM"] / work
  peer = "sentence-transformers"
  report.table(
    f"embed: {len(texts)} documents, {tokens.sum() / len(texts):.0f} tokens and"
    f" {work / 1e9:.3g} GFLOP each; vectors differ by at most {furthest:.1e}",
    ["", "documents/s: median (range)", "of the GEMM rate"],
    [
      (name, report.spread(rates[name]), middle[name] / possible)
      for name in ("ours", peer)
    ],
  )
  report.last_line(
    "embed",
    ours=middle["ours"],
    peer=middle[peer],
    ratio=statistics.median(report.paired(rates["ours"], rates[peer])),
    limit_fraction=middle["ours"] / possible,
    gemm_gflops=middle["GEMM"] / 1e9,
    furthest=furthest,
  )


def _flops(network: encoder.BertConfig, tokens: np.ndarray) -> float:
  """Of the products of one unpadded forward pass of texts so long."""
  e, m = network.emb_dim, network.mlp_dim
  weights = 2 * (4 * e * e + 2 * e * m) * tokens.sum()
  attention = 4 * e * np.square(tokens).sum()
  return network.num_encoder_layers * (weights + attention)


if __name__ == "__main__":
  main()
