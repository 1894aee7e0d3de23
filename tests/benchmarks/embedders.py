# SPDX-License-Identifier: Apache-2.0
"""The embedders that benchmarks of quality compare, and what they make."""

from collections.abc import Sequence

import numpy as np

from data_efficient.models import encoder_files, tokenizer_files
from data_efficient.scorers import embedding, interface, judges, latent_semantic
from tests.parity import encoders

_TOKENS = 256


def vectors(name: str, texts: Sequence[str]) -> np.ndarray:
  """Embeddings [n, d], float64, of all texts; `name` is one of `EMBEDDERS`."""
  scorer = EMBEDDERS[name]()
  scorer.prepare(lambda split: iter([texts]))
  return scorer.score(texts).columns["embedding"].astype(np.float64)


def _minilm() -> interface.Scorer:
  directory = str(encoders.minilm())
  network = encoder_files.read_config(directory, dtype="float32")
  return embedding.Embedding(
    encoder=judges.load(network=network, checkpoint=directory, kind="minilm"),
    tokenizer=tokenizer_files.read(directory),
    prompt="",
    max_input_tokens=_TOKENS,
    length_step=8,
    batch_tokens=2048,
    vector_type="float16",
    part_records=1024,
  )


def _latent_semantic() -> interface.Scorer:
  return latent_semantic.LatentSemantic(
    tokenizer=tokenizer_files.read(str(encoders.minilm())),
    dimensions=256,
    max_input_tokens=_TOKENS,
    sample_size=20_000,
    seed=0,
    vector_type="float32",
  )


EMBEDDERS = {"minilm": _minilm, "latent_semantic": _latent_semantic}
