# SPDX-License-Identifier: Apache-2.0
"""The i-th kept record, read where it lies, whatever the files."""

import gzip
import json
import shutil

import grain
import numpy as np
import pyarrow as pa
import pytest

from data_efficient.data import (
  artifacts,
  corpora,
  corpus_index,
  file_corpus,
  kept_records,
)
from tests.data import fakes, served


def _rows(records):
  return [(r["shard"], r["position"], r["text"], r["weight"]) for r in records]


def test_all_kept_records_by_number(parts):
  corpus, _, selection = parts
  reader = kept_records.by_random_access(*parts)
  slow = served.expected(corpus, selection)
  assert len(reader) == len(slow) > 5
  assert _rows(reader[i] for i in range(len(reader))) == slow
  # In any order, and the same one twice.
  numbers = np.random.default_rng(0).permutation(len(reader)).tolist() + [0, 0]
  found = reader.__getitems__(numbers)
  assert _rows(found) == [slow[number] for number in numbers]
  for wrong in (-1, len(reader)):
    with pytest.raises(IndexError):
      reader[wrong]


def test_memory_holds_the_same(parts):
  direct = kept_records.by_random_access(*parts)
  held = kept_records.in_memory(*parts)
  numbers = list(range(len(held)))[::-1]
  assert held.__getitems__(numbers) == direct.__getitems__(numbers)


def test_only_what_is_asked_for_is_read(corpora_of_all_kinds, monkeypatch):
  parts = corpora_of_all_kinds["jsonl"]
  reader = kept_records.by_random_access(*parts)
  monkeypatch.setattr(
    file_corpus.Files, "read", lambda *_: pytest.fail("read whole")
  )
  assert reader[3]["text"].startswith("a")


def test_a_byte_order_mark_shifts_no_offset(tmp_path):
  corpus = served.write_jsonl(tmp_path / "files", mark=b"\xef\xbb\xbf")
  parts = served.parts(corpus, tmp_path, share=1.1)
  reader = kept_records.by_random_access(*parts)
  assert _rows(reader) == served.expected(corpus, parts[2])


def test_a_grain_pipeline_restarts_in_the_middle(corpora_of_all_kinds):
  reader = kept_records.by_random_access(*corpora_of_all_kinds["parquet"])

  def batches():
    dataset = grain.MapDataset.source(reader).shuffle(seed=3).repeat(2)
    return iter(dataset.batch(4).to_iter_dataset())

  everything = [_rows(_unbatched(batch)) for batch in batches()]
  flat = [row for batch in everything for row in batch]
  slow = served.expected(*corpora_of_all_kinds["parquet"][::2])
  assert sorted(flat) == sorted(slow * 2) and flat != slow * 2
  stopped = batches()
  for _ in range(3):
    next(stopped)
  state = json.loads(json.dumps(stopped.get_state()))
  restored = batches()
  restored.set_state(state)
  rest = [_rows(_unbatched(batch)) for batch in restored]
  assert rest == everything[3:]


def _unbatched(batch):
  rows = zip(*(batch[name] for name in batch), strict=True)
  for values in rows:
    record = dict(zip(batch, values, strict=True))
    yield {
      "shard": str(record["shard"]),
      "position": int(record["position"]),
      "text": str(record["text"]),
      "weight": float(record["weight"]),
    }


@pytest.mark.parametrize(
  "suffix, tool", [(".jsonl.gz", "gzip -dk"), (".jsonl.zst", "zstd -dk")]
)
def test_compressed_files_are_refused_with_the_command(tmp_path, suffix, tool):
  data = b"".join(b'{"text": "row %d"}\n' % row for row in range(9))
  packed = (
    gzip.compress(data)
    if suffix.endswith("gz")
    else pa.compress(data, "zstd", asbytes=True)
  )
  path = tmp_path / f"some file{suffix}"
  path.write_bytes(packed)
  corpus = file_corpus.Files(pattern=str(path))
  parts = served.parts(corpus, tmp_path)
  with pytest.raises(corpora.CorpusError) as error:
    kept_records.by_random_access(*parts)
  assert f"{tool} '{path}'" in str(error.value)
  assert not kept_records.allows_random_access(corpus)
  assert _rows(kept_records.in_memory(*parts)) == served.expected(
    corpus, parts[2]
  )


def test_text_files_and_corpora_in_memory_are_refused(tmp_path):
  (tmp_path / "a.txt").write_text("one\n\ntwo\n")
  text = file_corpus.Files(pattern=str(tmp_path / "a.txt"))
  memory = fakes.Memory({"m": ["one", "two"]})
  for number, corpus in enumerate((text, memory)):
    parts = served.parts(corpus, tmp_path / str(number), share=1.1)
    with pytest.raises(corpora.CorpusError, match="SERVING = 'filter'"):
      kept_records.by_random_access(*parts)


def test_an_index_without_offsets_is_refused(tmp_path, monkeypatch):
  now = corpus_index._read_shard
  monkeypatch.setattr(
    corpus_index,
    "_read_shard",
    lambda *args: now(*args).drop_columns(["offset"]),
  )
  parts = served.parts(served.write_jsonl(tmp_path / "files"), tmp_path)
  with pytest.raises(artifacts.ArtifactError, match="index/00000(.|\n)*delete"):
    kept_records.by_random_access(*parts)


def _changed(kind, directory, change):
  """A corpus of one kind, read once and then changed on the disk."""
  corpus = served.WRITE[kind](directory / "files")
  parts = served.parts(corpus, directory, share=1.1)
  reader = kept_records.by_random_access(*parts)
  shard = corpus.shards()[0]
  (path,) = (directory / "files").rglob(shard)
  change(path)
  return reader, shard


@pytest.mark.parametrize("kind", ["jsonl", "tfrecord"])
def test_a_changed_text_is_an_error_that_names_file_and_row(kind, tmp_path):
  def change(path):
    path.write_bytes(path.read_bytes().replace(b"gr", b"GR"))

  reader, shard = _changed(kind, tmp_path, change)
  with pytest.raises(corpora.CorpusError, match=f"{shard}, row 5: .*changed"):
    reader[5]


@pytest.mark.parametrize("kind", served.KINDS)
def test_a_truncated_file_is_an_error_that_names_file_and_row(kind, tmp_path):
  def change(path):
    path.write_bytes(path.read_bytes()[:40])

  reader, shard = _changed(kind, tmp_path, change)
  with pytest.raises(corpora.CorpusError, match=shard):
    reader[5]


def test_a_shorter_parquet_file_is_an_error(tmp_path):
  def change(path):
    table = pa.parquet.read_table(path)
    pa.parquet.write_table(table.slice(0, 5), path)

  reader, shard = _changed("parquet", tmp_path, change)
  assert reader[4]["position"] == 4
  with pytest.raises(corpora.CorpusError, match=f"{shard}, row 5: .*only 5"):
    reader[5]


def test_a_damaged_selection_is_refused(tmp_path):
  parts = served.parts(served.write_jsonl(tmp_path / "files"), tmp_path)
  directory = parts[2].directory
  backup = tmp_path / "backup"
  shutil.copytree(directory, backup)
  (directory / "00001.parquet").unlink()
  with pytest.raises(artifacts.ArtifactError, match="00001.*not there"):
    kept_records.by_random_access(*parts)
  data = bytearray((backup / "00001.parquet").read_bytes())
  data[len(data) // 2] ^= 1
  (directory / "00001.parquet").write_bytes(data)
  with pytest.raises(artifacts.ArtifactError, match="00001.*checksum"):
    kept_records.by_random_access(*parts)
