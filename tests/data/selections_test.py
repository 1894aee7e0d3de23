# SPDX-License-Identifier: Apache-2.0
"""Selections: masks, bits, and corpora that they were not made from."""

import numpy as np
import pytest

from data_efficient.data import artifacts, corpus_index, selections
from tests.data import fakes

SHARDS = {"b": 11, "empty": 0, "a": 6}
CORPUS = {"name": "m", "fingerprint": "1", "records": 17, "shards": SHARDS}


def _kept(*positions):
  return np.array(positions, np.int64), np.ones(len(positions), np.float32)


def _write(directory, **kept):
  return selections.write(
    directory,
    identity={"corpus": CORPUS, "sampler": "top"},
    kept=[(shard, *pair) for shard, pair in kept.items()],
    shards=SHARDS,
    summary=lambda: {"kept": 3},
  )


def test_round_trip(tmp_path):
  weights = np.array([0.5, 2], np.float32)
  _write(tmp_path, b=_kept(0, 10), a=(np.array([1, 5]), weights))
  found = selections.Selection.open(tmp_path)
  assert list(found.shards.items()) == list(SHARDS.items())
  assert found.records == 4 and found.summary == {"kept": 3}
  assert found.identity["sampler"] == "top"
  assert found.positions("b").dtype == np.int64
  assert found.weights("a").tolist() == [0.5, 2.0]
  assert found.positions("empty").tolist() == []
  assert found.mask("a").tolist() == [False, True, False, False, False, True]
  bitmap = found.bitmap()
  assert bitmap.offsets == {"b": 0, "empty": 11, "a": 11}
  bits = np.unpackbits(bitmap.bits, bitorder="little")[:17]
  expected = np.concatenate([found.mask(shard) for shard in SHARDS])
  assert bits.astype(bool).tolist() == expected.tolist()


@pytest.mark.parametrize(
  "kept, message",
  [
    ({"c": _kept(0)}, "unknown shard"),
    ({"a": _kept(6)}, "within 0 … 5"),
    ({"a": _kept(-1)}, "within 0 … 5"),
    ({"a": _kept(2, 2)}, "ascend"),
    ({"a": (np.array([1]), np.array([0.0]))}, "position 1: a weight"),
    ({"a": (np.array([1]), np.array([np.nan]))}, "position 1: a weight"),
    ({"a": (np.array([1, 2]), np.array([1.0]))}, "positions for"),
  ],
)
def test_bad_selections_are_never_finished(tmp_path, kept, message):
  with pytest.raises(artifacts.ArtifactError, match=message):
    _write(tmp_path, **kept)
  assert not artifacts.is_complete(tmp_path, kind=selections.KIND)
  # What was right before it is kept, and not asked for twice.
  whole = _write(tmp_path, b=_kept(3), a=_kept(1))
  assert whole.positions("a").tolist() == [1]


def test_other_corpus_is_refused(tmp_path):
  found = _write(tmp_path, a=_kept(1))
  found.check_corpus(CORPUS)
  other = {**CORPUS, "fingerprint": "2", "shards": {**SHARDS, "b": 12}}
  with pytest.raises(artifacts.ArtifactError) as error:
    found.check_corpus(other)
  assert 'corpus.fingerprint: found "1", expected "2"' in str(error.value)
  assert "corpus.shards.b: found 11, expected 12" in str(error.value)
  with pytest.raises(artifacts.ArtifactError, match="no shard 'c'"):
    found.mask("c")


def test_index_describes_what_is_checked(tmp_path):
  texts = {
    name: [f"{name} {i}" for i in range(n)] for name, n in SHARDS.items()
  }
  index = corpus_index.build(fakes.Memory(texts), tmp_path / "index")
  written = selections.write(
    tmp_path / "selection",
    identity={"corpus": index.describe()},
    kept=(),
    shards=index.shards,
    summary=dict,
  )
  written.check_corpus(corpus_index.open_index(tmp_path / "index").describe())
  assert written.records == 0
