# SPDX-License-Identifier: Apache-2.0
"""The index: what it says, how it resumes, what it refuses."""

import builtins
import gzip

import numpy as np
import pytest
import xxhash

from data_efficient.data import (
  artifacts,
  corpora,
  corpus_index,
  file_corpus,
  records,
)
from tests.data import fakes

SHARDS = {
  "b": [("one", "web", "g"), "zwei ü"],
  "empty": [],
  "a": ["one", ("three", "wiki", "")],
}


def test_index(tmp_path):
  index = corpus_index.build(fakes.Memory(SHARDS), tmp_path)
  assert index.shards == {"b": 2, "empty": 0, "a": 2}
  assert list(index.shards) == ["b", "empty", "a"]
  assert (index.name, index.records, index.characters) == ("memory", 4, 17)
  assert index.column("source")["b"].tolist() == ["web", ""]
  assert index.column("group")["b"].tolist() == ["g", ""]
  assert index.column("position")["a"].tolist() == [0, 1]
  found = index.column("fingerprint")
  assert found["a"].dtype == np.uint64
  assert found["a"][0] == found["b"][0] == records.fingerprint("one")
  assert found["empty"].shape == (0,)
  assert index.describe() == {
    "name": "memory",
    "fingerprint": index.fingerprint,
    "records": 4,
    "shards": {"b": 2, "empty": 0, "a": 2},
  }


def test_fingerprint_is_of_names_and_texts(tmp_path):
  index = corpus_index.build(fakes.Memory(SHARDS), tmp_path / "x")
  digest = xxhash.xxh3_64()
  for shard, rows in SHARDS.items():
    digest.update(f"{len(shard)}:{shard}:{len(rows)}:".encode())
    for row in rows:
      text = row if isinstance(row, str) else row[0]
      digest.update(records.fingerprint(text).to_bytes(8, "little"))
  assert index.fingerprint == digest.hexdigest()
  renamed = {f"new {name}": rows for name, rows in SHARDS.items()}
  other = corpus_index.build(fakes.Memory(renamed), tmp_path / "y")
  assert other.fingerprint != index.fingerprint


def test_resumes_by_shard_and_then_rests(tmp_path):
  class Breaks(fakes.Memory):
    calls = []

    def read(self, shard, start=0):
      self.calls.append(shard)
      if shard == "a" and self.calls.count("a") == 1:
        raise KeyboardInterrupt
      return super().read(shard, start)

  corpus = Breaks(SHARDS)
  with pytest.raises(KeyboardInterrupt):
    corpus_index.build(corpus, tmp_path)
  with pytest.raises(artifacts.ArtifactError, match="unfinished"):
    corpus_index.open_index(tmp_path)
  ticks = []
  corpus_index.build(corpus, tmp_path, lambda *done: ticks.append(done))
  assert corpus.calls == ["b", "empty", "a", "a"]
  assert ticks == [(1, 3), (2, 3), (3, 3)]
  corpus_index.build(corpus, tmp_path)
  assert corpus.calls == ["b", "empty", "a", "a"]


def test_a_damaged_corpus_leaves_nothing_in_the_way_of_the_mended_one(tmp_path):
  class Damaged(fakes.Memory):
    def read(self, shard, start=0):
      if shard == "a":
        raise corpora.CorpusError("a, row 0: torn")
      return super().read(shard, start)

  with pytest.raises(corpora.CorpusError, match="row 0"):
    corpus_index.build(Damaged(SHARDS), tmp_path / "index")
  assert not (tmp_path / "index").exists()
  mended = {**SHARDS, "a": ["other text"]}
  corpus_index.build(fakes.Memory(mended), tmp_path / "index")


def test_all_damaged_shards_are_named(tmp_path, monkeypatch):
  lines = b"".join(b'{"text": "text %d"}\n' % n for n in range(50))
  directory = tmp_path / "corpus"
  directory.mkdir()
  packed = gzip.compress(lines)
  (directory / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
  (directory / "forbidden.jsonl").write_bytes(lines)
  (directory / "latin.jsonl").write_bytes(lines + b'{"text": "\xfc"}\n')
  (directory / "no-bytes.jsonl.gz").write_bytes(b"")
  (directory / "no-bytes.parquet").write_bytes(b"")
  (directory / "sound.jsonl.gz").write_bytes(packed)
  (directory / "torn.jsonl").write_bytes(lines[:-5] + b"\n")
  (directory / "zeros.jsonl").write_bytes(lines + bytes(4096))
  opened = builtins.open

  def forbidding(path, *arguments, **keywords):
    if str(path).endswith("forbidden.jsonl"):
      raise PermissionError(13, "Permission denied", str(path))
    return opened(path, *arguments, **keywords)

  # Not by chmod, since tests may be run by root.
  monkeypatch.setattr(builtins, "open", forbidding)
  pattern = f"{directory}/*"
  done = []
  with pytest.raises(corpora.CorpusError) as error:
    corpus_index.build(
      file_corpus.Files(pattern=pattern),
      tmp_path / "index",
      lambda *counts: done.append(counts),
    )
  first, *named, advice = str(error.value).splitlines()
  assert first == "7 of 8 shards cannot be read:" and "'!…/cut" in advice
  for line, (shard, reason) in zip(
    named,
    {
      "cut.jsonl.gz": "truncated or damaged",
      "forbidden.jsonl": "no permission to read",
      "latin.jsonl": "row 50 (line 51), byte 10 of the line: invalid UTF-8",
      "no-bytes.jsonl.gz": "no bytes",
      "no-bytes.parquet": "damaged Parquet",
      "torn.jsonl": "row 49 (line 50): invalid JSON",
      "zeros.jsonl": "row 50 (line 51): invalid JSON",
    }.items(),
    strict=True,
  ):
    assert line.startswith(f"  {shard}: {directory}/{shard}")
    assert reason in line
  assert done[-1] == (8, 8) and not (tmp_path / "index").exists()
  # Said to be without them, it is the corpus of the sound one.
  bad = [line.split(":")[0].strip() for line in named]
  rest = file_corpus.Files(
    pattern=(pattern, *(f"!{directory}/{shard}" for shard in bad))
  )
  index = corpus_index.build(rest, tmp_path / "index")
  assert index.shards == {"sound.jsonl.gz": 50}


def test_empty_corpora(tmp_path):
  with pytest.raises(corpora.CorpusError, match="no shards"):
    corpus_index.build(fakes.Memory({}), tmp_path / "x")
  assert not (tmp_path / "x").exists()
  with pytest.raises(corpora.CorpusError, match="2 shards hold no record"):
    corpus_index.build(fakes.Memory({"a": [], "b": []}), tmp_path / "y")


def test_another_corpus_is_refused(tmp_path):
  corpus_index.build(fakes.Memory(SHARDS), tmp_path)
  with pytest.raises(artifacts.ArtifactError, match="shards.b"):
    corpus_index.build(fakes.Memory({**SHARDS, "b": ["x"]}), tmp_path)


def test_shards_of_the_same_name(tmp_path):
  corpus = fakes.Memory(SHARDS)
  corpus.shards = lambda: ["a", "a"]
  with pytest.raises(corpora.CorpusError, match="same name: a"):
    corpus_index.build(corpus, tmp_path)
