# SPDX-License-Identifier: Apache-2.0
"""Importance weights against the package that the method's authors published.

Both count the same n-grams of the same texts. The package hashes them by
SHA-256, ours by a seeded xxh3: with our hash in its place the weights are the
same numbers, with its own they differ by what collides.
"""

import json

import numpy as np
import pytest
from scipy import stats

from data_efficient.scorers import dsir

published = pytest.importorskip(
  "data_selection.hashed_ngram_dsir",
  reason="data-selection is not installed: run `make parity`",
)


@pytest.fixture(scope="module")
def texts(root):
  """Target and raw: our documentation and our code, by paragraphs."""
  target = [(root / name).read_text() for name in ("README.md", "CHANGELOG.md")]
  raw = sorted((root / "data_efficient").rglob("*.py"))
  return {
    "reference": _paragraphs(target),
    "pool": _paragraphs(path.read_text() for path in raw)[:600],
  }


def _paragraphs(files):
  # NLTK of 2025 finds words by another engine of regular expressions, for
  # which a superscript or a combining mark is something else than for Python's.
  plain = (text.encode("ascii", "ignore").decode() for text in files)
  found = [block for text in plain for block in text.split("\n\n")]
  return [block for block in found if len(block.split()) > 5]


def _theirs(texts, directory):
  """Log importance weights of the raw texts, float64."""
  paths = {}
  for name, rows in texts.items():
    paths[name] = directory / f"{name}.jsonl"
    lines = (json.dumps({"text": text}) for text in rows)
    paths[name].write_text("\n".join(lines))
  peer = published.HashedNgramDSIR(
    raw_datasets=[str(paths["pool"])],
    target_datasets=[str(paths["reference"])],
    cache_dir=str(directory / "cache"),
    num_proc=1,
  )
  peer.fit_importance_estimator(num_tokens_to_fit="all")
  peer.compute_importance_weights()
  return np.load(peer.log_importance_weights_dir / "0.npy")


def _ours(texts):
  scorer = dsir.Dsir(buckets=10_000, ngrams=2, min_words=1, seed=0)
  scorer.prepare(lambda split: iter([texts[split]]))
  return scorer, scorer.score(texts["pool"]).columns["score"]


def test_with_our_hash_theirs_are_our_weights(texts, tmp_path, monkeypatch):
  scorer, ours = _ours(texts)
  monkeypatch.setattr(
    published, "hash_buckets", lambda gram, num_buckets: scorer.bucket(gram)
  )
  theirs = _theirs(texts, tmp_path)
  assert np.std(theirs) > 10
  np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


def test_with_their_hash_the_weights_rank_alike(texts, tmp_path):
  _, ours = _ours(texts)
  theirs = _theirs(texts, tmp_path)
  assert stats.spearmanr(ours, theirs).statistic > 0.97
