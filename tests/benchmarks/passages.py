# SPDX-License-Identifier: Apache-2.0
"""A corpus for benchmarks: passages of 200 to 2,000 characters, in files.

Of real texts where they lie beside the checkout, else of random words.
"""

import gzip
import json
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow_datasets as tfds

from data_efficient.data import corpora, file_corpus, tfds_corpus

REAL = pathlib.Path("../shared/data/pretrain")
SHORTEST, LONGEST = 200, 2000  # characters
FILES = 8


def passages(count: int) -> tuple[list[str], str]:
  """Passages, and where they are from, in words.

  Their lengths are uniform in the logarithm.
  """
  generator = np.random.default_rng(0)
  real = sorted(REAL.glob("*.jsonl.gz"))
  documents = _read(real) if real else _random(count, generator)
  found = []
  for number in generator.permutation(len(documents)):
    found += _cut(documents[number], generator)
    if len(found) >= count:
      return found[:count], "real texts" if real else "random words"
  raise SystemExit(f"{REAL}: {len(found)} passages, {count} wanted")


def write_jsonl(
  directory: pathlib.Path, texts: Sequence[str]
) -> corpora.Corpus:
  """Plain JSON lines."""
  directory.mkdir()
  for number in range(FILES):
    rows = [
      json.dumps({"text": text, "source": "web"})
      for text in texts[number::FILES]
    ]
    path = directory / f"{number}.jsonl"
    path.write_text("\n".join(rows) + "\n")
  return file_corpus.Files(pattern=str(directory / "*.jsonl"))


def write_tfrecord(
  directory: pathlib.Path, texts: Sequence[str]
) -> corpora.Corpus:
  """TFDS's own TFRecord files."""
  rows = [(number, {"text": text}) for number, text in enumerate(texts)]
  tfds.dataset_builders.store_as_tfds_dataset(
    name="passages",
    version="1.0.0",
    features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
    split_datasets={"train": rows},
    data_dir=str(directory),
    file_format="tfrecord",
    download_config=tfds.download.DownloadConfig(num_shards=FILES),
  )
  return tfds_corpus.Tfds(
    name="passages", split="train", data_dir=str(directory)
  )


def _read(paths: Sequence[pathlib.Path]) -> list[str]:
  texts = []
  for path in paths:
    with gzip.open(path, "rt", encoding="utf-8") as file:
      texts += [json.loads(line)["text"] for line in file]
  return texts


def _random(count: int, generator: np.random.Generator) -> list[str]:
  """Words with Zipf's frequencies; two passages a text or more."""
  letters = list("abcdefghijklmnopqrstuvwxyz")
  words = np.array(
    ["".join(generator.choice(letters, 2 + row % 9)) for row in range(20_000)]
  )
  shares = 1 / np.arange(10, len(words) + 10)
  shares /= shares.sum()
  return [
    " ".join(generator.choice(words, 2 * LONGEST // 7, p=shares))
    for _ in range(count)
  ]


def _cut(text: str, generator: np.random.Generator) -> Iterator[str]:
  start = 0
  while len(text) - start >= SHORTEST:
    low, high = np.log(SHORTEST), np.log(LONGEST)
    end = start + round(np.exp(generator.uniform(low, high)))
    if end <= len(text):
      yield text[start:end]
    start = end
