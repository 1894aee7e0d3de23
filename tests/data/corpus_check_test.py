# SPDX-License-Identifier: Apache-2.0
"""What does not belong together is refused when a task is built."""

import dataclasses
import gzip
import json

import pytest

from data_efficient.data import (
  artifacts,
  corpora,
  corpus_check,
  file_corpus,
  selections,
  tfds_corpus,
)
from tests.data import fakes, served


def test_what_belongs_together_passes(parts):
  corpus_check.check(*parts)


def test_another_corpus(corpora_of_all_kinds):
  corpus, index, _ = corpora_of_all_kinds["jsonl"]
  *_, other = corpora_of_all_kinds["tfrecord"]
  with pytest.raises(artifacts.ArtifactError) as error:
    corpus_check.check(corpus, index, other)
  assert str(other.directory) in str(error.value)
  assert 'corpus.name: found "tiny_text", expected "files"' in str(error.value)


def test_another_split(corpora_of_all_kinds, tmp_path):
  train, _, selection = corpora_of_all_kinds["tfrecord"]
  test = dataclasses.replace(train, split="test")
  _, index, _ = served.parts(test, tmp_path)
  with pytest.raises(artifacts.ArtifactError) as error:
    corpus_check.check(test, index, selection)
  assert "corpus.records: found 23, expected 4" in str(error.value)
  assert "tiny_text-test.tfrecord" in str(error.value)


def test_another_version(corpora_of_all_kinds, tmp_path):
  # Same names, same counts; one text differs.
  shards = {"a": ["one", "two"], "b": ["three"]}
  *_, selection = served.parts(fakes.Memory(shards), tmp_path / "old")
  newer = fakes.Memory({**shards, "b": ["three, revised"]})
  _, index, _ = served.parts(newer, tmp_path / "new")
  with pytest.raises(artifacts.ArtifactError, match=r"corpus.fingerprint: fou"):
    corpus_check.check(newer, index, selection)


def test_other_files_than_the_index_has(tmp_path):
  corpus = served.write_jsonl(tmp_path / "files")
  parts = served.parts(corpus, tmp_path)
  (tmp_path / "files" / "b.jsonl").rename(tmp_path / "files" / "d.jsonl")
  renamed = file_corpus.Files(pattern=corpus.pattern)
  with pytest.raises(corpora.CorpusError) as error:
    corpus_check.check(renamed, *parts[1:])
  assert "no longer there: b.jsonl; new: d.jsonl" in str(error.value)


@pytest.mark.parametrize("position", [0, 22])
def test_a_sampled_text_that_changed(tmp_path, position):
  corpus = served.write_jsonl(tmp_path / "files")
  parts = served.parts(corpus, tmp_path)
  # The first text of the first shard and the last of the last are sampled.
  name = "a" if position == 0 else "c"
  path = tmp_path / "files" / f"{name}.jsonl"
  old = f"{name}{position} ".encode()
  assert path.read_bytes().count(old) == 1
  path.write_bytes(path.read_bytes().replace(old, old.upper()))
  with pytest.raises(
    corpora.CorpusError, match=f"{name}.jsonl, row {position}: .*changed"
  ):
    corpus_check.check(*parts)


def test_compressed_files_are_sampled_at_their_start(tmp_path):
  def write(first):
    rows = [json.dumps({"text": text}) for text in (first, "two", "three")]
    packed = gzip.compress("\n".join(rows).encode(), mtime=0)
    (tmp_path / "a.jsonl.gz").write_bytes(packed)

  write("one")
  corpus = file_corpus.Files(pattern=str(tmp_path / "*.gz"))
  parts = served.parts(corpus, tmp_path, share=1.1)
  corpus_check.check(*parts)
  write("won")
  with pytest.raises(corpora.CorpusError, match="a.jsonl.gz, row 0: .*changed"):
    corpus_check.check(*parts)
  (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b""))
  with pytest.raises(corpora.CorpusError, match="a.jsonl.gz: has no record"):
    corpus_check.check(*parts)


def test_the_corpus_is_not_read_whole(corpora_of_all_kinds, monkeypatch):
  for kind in (file_corpus.Files, tfds_corpus.Tfds):
    monkeypatch.setattr(kind, "read", lambda *_: pytest.fail("read whole"))
  for parts in corpora_of_all_kinds.values():
    corpus_check.check(*parts)


def test_nothing_kept(corpora_of_all_kinds, tmp_path):
  corpus, index, _ = corpora_of_all_kinds["parquet"]
  empty = served.select(index, tmp_path / "empty", share=0.0)
  with pytest.raises(corpora.CorpusError, match="empty: .* keeps no record"):
    corpus_check.check(corpus, index, empty)


@pytest.mark.parametrize(
  "content, message",
  [
    (b"{", "manifest.json: damaged"),
    (b"{}", "manifest.json: not a manifest"),
    (None, "no selection there"),
  ],
)
def test_a_corrupted_manifest(tmp_path, content, message):
  *_, selection = served.parts(fakes.Memory({"a": ["one"]}), tmp_path, 1.1)
  path = selection.directory / "manifest.json"
  path.unlink()
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(artifacts.ArtifactError, match=message):
    selections.Selection.open(selection.directory)
