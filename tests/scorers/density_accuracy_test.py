# SPDX-License-Identifier: Apache-2.0
"""The sketch against exact sums over 5,000 embeddings, made up and real."""

import gzip
import json

import jax
import numpy as np
import pytest

from data_efficient.kernels import kernel_density, sketch
from data_efficient.models import tokenizers
from data_efficient.scorers import bandwidth, hash_families, latent_semantic

RECORDS, DIMENSIONS, BUCKETS, QUERIES = 5000, 32, 20_000, 500
VOCABULARY = "tokenizers/t5_cc_all.32000.100extra.spm.model"
# Seeds for each number of rows.
SEEDS = {32: 64, 512: 6}
FAMILIES = {
  "p_stable": hash_families.PStable(hashes_per_row=8, projection="dense"),
  "angular": hash_families.Angular(projection="dense"),
}


def _passages(shared):
  """Heads of documents and their continuations, evenly of all sources."""
  found = []
  for path in sorted((shared / "data/pretrain").glob("*.jsonl.gz")):
    with gzip.open(path, "rt", encoding="utf-8") as file:
      for line in file:
        words = json.loads(line)["text"].split()[:1000]
        starts = range(0, max(len(words) - 50, 1), 100)
        found += [" ".join(words[at : at + 100]) for at in starts]
  rows = np.random.default_rng(0).permutation(len(found))[:RECORDS]
  return [found[row] for row in rows]


def _made_up():
  generator = np.random.default_rng(0)
  centres = generator.normal(size=(50, DIMENSIONS))
  sizes = generator.dirichlet(np.full(50, 0.5))
  labels = generator.choice(50, RECORDS, p=sizes)
  noise = 0.4 * generator.normal(size=(RECORDS, DIMENSIONS))
  vectors = centres[labels] + noise
  return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module", params=["made up", "real"])
def embeddings(request):
  if request.param == "made up":
    return _made_up().astype(np.float32)
  shared = request.getfixturevalue("shared")
  texts = _passages(shared)
  embedder = latent_semantic.LatentSemantic(
    tokenizer=tokenizers.SentencePiece(str(shared / VOCABULARY)),
    dimensions=DIMENSIONS,
    max_input_tokens=100,
    sample_size=2000,
    seed=0,
    vector_type="float32",
  )
  embedder.prepare(lambda split: iter([texts]))
  return embedder.score(texts).columns["embedding"]


def _estimates(family, width, vectors, rows):
  """Of the first records, [seeds, queries]."""
  found = []
  for seed in range(SEEDS[rows]):
    hashes = family.draw(
      jax.random.key(seed), dimensions=DIMENSIONS, num_rows=rows, width=width
    )
    made = sketch.update(
      sketch.init(num_rows=rows, num_buckets=BUCKETS),
      hashes,
      vectors,
      mask=np.ones(RECORDS, bool),
    )
    found.append(sketch.query(made, hashes, vectors[:QUERIES]))
  return np.array(found, np.float64)


def _exact(name, width, vectors):
  queries = vectors[:QUERIES]
  if name == "angular":
    bits = hash_families.bits_of(width)
    sums = kernel_density.angular_kernel_sums(
      queries, vectors, bits=bits, block=500
    )
  else:
    sums = kernel_density.kernel_sums(
      queries, vectors, width=width, block=500, hashes_per_row=8
    )
  return np.asarray(sums, np.float64)


@pytest.mark.parametrize("name", FAMILIES)
def test_errors_fall_as_the_root_of_rows_and_leave_no_bias(name, embeddings):
  family = FAMILIES[name]
  rule = bandwidth.NeighbourDistance(share=0.01, factor=1.5, sample_size=500)
  width = rule.width(embeddings[:500], records=RECORDS, family=family)
  exact = _exact(name, width, embeddings)
  sizes = {}
  for rows in SEEDS:
    errors = _estimates(family, width, embeddings, rows) / exact - 1
    sizes[rows] = np.sqrt(np.mean(errors**2))
    # Records share a draw's rows, so draws are what is independent.
    means = errors.mean(axis=1)
    standard_error = means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean()) < 3 * standard_error
  slope = np.log(sizes[512] / sizes[32]) / np.log(512 / 32)
  assert slope == pytest.approx(-0.5, abs=0.08)
  assert sizes[512] < 0.3
