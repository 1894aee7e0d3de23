# SPDX-License-Identifier: Apache-2.0
"""Score sets: nothing missing, and no failure that looks like a score."""

import json

import numpy as np
import pytest

from data_efficient.data import artifacts, score_set_writer, score_sets

SHARDS = {"b": 5, "empty": 0, "a": 2}
CORPUS = {"name": "m", "fingerprint": "1", "records": 7, "shards": SHARDS}


def _writer(directory, **identity):
  return score_set_writer.ScoreSetWriter(
    directory,
    identity={"corpus": CORPUS, "scorer": {"name": "x"}, **identity},
    shards=SHARDS,
    part_records=2,
  )


def _columns(part, dtype=np.float32):
  rows = np.arange(part.start, part.start + part.records)
  return {
    "score": rows.astype(dtype),
    "tokens": rows.astype(np.int32) * 10,
    "vector": np.stack([rows, rows + 0.5], axis=1).astype(np.float16),
  }


def _write(writer, part, failed=()):
  rows = range(part.start, part.start + part.records)
  statuses = [
    score_sets.unscorable("empty") if (part.shard, row) in failed else "scored"
    for row in rows
  ]
  writer.write(
    part,
    fingerprints=np.arange(part.records, dtype=np.uint64),
    statuses=statuses,
    columns=_columns(part),
  )


def _complete(directory, failed=()):
  with _writer(directory) as writer:
    for part in writer.missing_parts():
      _write(writer, part, failed)
    writer.finish(mean=1.0)


def test_parts_in_corpus_order(tmp_path):
  with _writer(tmp_path) as writer:
    assert writer.missing_parts() == [
      ("b", 0, 0, 2),
      ("b", 1, 2, 2),
      ("b", 2, 4, 1),
      ("a", 0, 0, 2),
    ]
    _write(writer, writer.missing_parts()[2])
    assert len(writer.missing_parts()) == 3
    with pytest.raises(artifacts.ArtifactError, match="3 of 4 parts"):
      writer.finish()
  with pytest.raises(artifacts.ArtifactError, match="unfinished"):
    score_sets.ScoreSet.open(tmp_path)
  assert (tmp_path / "00000-00002.parquet").exists()


def test_round_trip(tmp_path):
  _complete(tmp_path)
  found = score_sets.ScoreSet.open(tmp_path)
  assert list(found.shards.items()) == list(SHARDS.items())
  assert found.summary == {"mean": 1.0} and found.scored == 7
  columns = found.read(["score", "tokens", "vector", "position"])
  assert columns["score"]["b"].tolist() == [0, 1, 2, 3, 4]
  assert columns["score"]["b"].dtype == np.float32
  assert columns["tokens"]["a"].dtype == np.int32
  assert columns["vector"]["a"].tolist() == [[0, 0.5], [1, 1.5]]
  assert columns["vector"]["a"].dtype == np.float16
  assert columns["vector"]["empty"].shape == (0, 2)
  assert columns["position"]["b"].tolist() == [0, 1, 2, 3, 4]
  assert set(found.statuses()["b"]) == {"scored"}


def test_a_failure_is_null_and_reads_as_nan(tmp_path):
  _complete(tmp_path, failed={("b", 3), ("a", 0), ("a", 1)})
  found = score_sets.ScoreSet.open(tmp_path)
  assert found.scored == 4
  columns = found.read(["score", "tokens", "vector"])
  nan = float("nan")
  np.testing.assert_equal(columns["score"]["b"], [0, 1, 2, nan, 4])
  np.testing.assert_equal(columns["score"]["a"], [nan, nan])
  np.testing.assert_equal(columns["tokens"]["b"], [0, 10, 20, nan, 40])
  np.testing.assert_equal(columns["vector"]["b"][3], [nan, nan])
  assert found.statuses()["b"][3] == "unscorable(empty)"
  table = artifacts.read_table(tmp_path, "00000-00000-00002.parquet")
  assert table.column("score").null_count == 1
  assert {part.shard for part in found.iterate(["score"])} == {"a", "b"}


def test_bytes_do_not_depend_on_order(tmp_path):
  _complete(tmp_path / "x")
  with _writer(tmp_path / "y") as writer:
    for part in reversed(writer.missing_parts()):
      _write(writer, part)
    writer.finish(mean=1.0)
  assert _bytes(tmp_path / "x") == _bytes(tmp_path / "y")


def _bytes(directory):
  return {path.name: path.read_bytes() for path in directory.iterdir()}


def _parts(directory):
  return sorted(path.name for path in directory.glob("*.parquet"))


def test_a_finished_set_has_few_files(tmp_path, monkeypatch):
  _complete(tmp_path / "x")
  # Shard b's three parts are one file; a's single part is as it was written.
  merged = ["00000-00000-00002.parquet", "00002-00000.parquet"]
  assert _parts(tmp_path / "x") == merged
  found = score_sets.ScoreSet.open(tmp_path / "x")
  assert [(file.shard, file.start) for file in found.iterate(["score"])] == [
    ("b", 0),
    ("a", 0),
  ]
  # Files hold so many bytes: the third part is one too many.
  with _writer(tmp_path / "z") as writer:
    for part in writer.missing_parts():
      _write(writer, part)
    names = ["00000-00000.parquet", "00000-00001.parquet"]
    sizes = [(tmp_path / "z" / name).stat().st_size for name in names]
    monkeypatch.setattr(score_sets, "FILE_BYTES", sum(sizes))
    writer.finish(mean=1.0)
  assert _parts(tmp_path / "z") == [
    "00000-00000-00001.parquet",
    "00000-00002.parquet",
    "00002-00000.parquet",
  ]
  found = score_sets.ScoreSet.open(tmp_path / "z")
  assert found.shard_column("b", "score").tolist() == [0, 1, 2, 3, 4]


def test_several_writers_merge_what_one_would(tmp_path):
  _complete(tmp_path / "x")

  def writer(member):
    return score_set_writer.ScoreSetWriter(
      tmp_path / "y",
      identity={"corpus": CORPUS, "scorer": {"name": "x"}},
      shards=SHARDS,
      part_records=2,
      member=member,
    )

  with writer(0) as first, writer(1) as second:
    of_b, of_a = first.missing_parts()[:3], first.missing_parts()[3:]
    for part in of_b[:2]:
      _write(first, part)
    first.merge()  # a shard that lacks a part is left as it is
    assert len(_parts(tmp_path / "y")) == 2
    for part in [of_b[2], *of_a]:
      _write(second, part)
    second.merge(share=1, of=2)
    assert len(_parts(tmp_path / "y")) == 4
    second.merge(share=0, of=2)
    assert len(_parts(tmp_path / "y")) == 2
    first.finish(mean=1.0)
  assert _bytes(tmp_path / "x") == _bytes(tmp_path / "y")


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_a_writer_killed_while_it_merges(tmp_path, monkeypatch, removed):
  """Between the larger file and the last of the parts that are in it."""
  _complete(tmp_path / "x")

  class Killed(BaseException):
    pass

  def remove(self, parts):
    for name in list(parts)[:removed]:
      (self.directory / name).unlink()
    raise Killed

  with monkeypatch.context() as patch:
    patch.setattr(artifacts.Writer, "remove", remove)
    with pytest.raises(Killed):
      _complete(tmp_path / "y")
  assert len(_parts(tmp_path / "y")) == 5 - removed
  with _writer(tmp_path / "y") as writer:
    assert not writer.missing_parts()
    writer.finish(mean=1.0)
  assert _bytes(tmp_path / "x") == _bytes(tmp_path / "y")


def test_a_lost_file_is_scored_again_part_by_part(tmp_path):
  _complete(tmp_path)
  whole = _bytes(tmp_path)
  (tmp_path / "00000-00000-00002.parquet").unlink()
  with _writer(tmp_path) as writer:
    assert [part.number for part in writer.missing_parts()] == [0, 1, 2]
    _write(writer, writer.missing_parts()[0])
  _complete(tmp_path)
  assert _bytes(tmp_path) == whole


def test_a_set_of_loose_parts_is_read(tmp_path, monkeypatch):
  """As it was written before neighbours were merged."""
  with monkeypatch.context() as patch:
    patch.setattr(score_sets, "FILE_BYTES", 0)
    _complete(tmp_path)
  assert len(_parts(tmp_path)) == 4
  found = score_sets.ScoreSet.open(tmp_path)
  assert found.shard_column("b", "score").tolist() == [0, 1, 2, 3, 4]
  with _writer(tmp_path) as writer:
    assert writer.complete


@pytest.mark.parametrize(
  "change, message",
  [
    ({"statuses": ["scored", "failed"]}, "position 3: status 'failed'"),
    ({"statuses": ["scored"]}, "'statuses': 1"),
    ({"fingerprints": np.zeros(3, np.uint64)}, "'fingerprints': 3"),
    ({"columns": {"tokens": np.zeros(2)}}, "column named score"),
    ({"columns": {"score": np.array([1, np.nan])}}, "position 3: NaN"),
    (
      {"columns": {"score": np.zeros(2), "v": np.zeros((2, 2), int)}},
      "column v: int64 of 2 axes",
    ),
    ({"columns": {"score": np.array(["a", "b"])}}, "column score: <U1"),
  ],
)
def test_bad_parts_leave_nothing(tmp_path, change, message):
  with _writer(tmp_path) as writer:
    part = writer.missing_parts()[1]
    arguments = {
      "fingerprints": np.zeros(2, np.uint64),
      "statuses": ["scored"] * 2,
      "columns": _columns(part),
      **change,
    }
    with pytest.raises(artifacts.ArtifactError, match=message):
      writer.write(part, **arguments)
    assert len(writer.missing_parts()) == 4
    with pytest.raises(artifacts.ArtifactError, match="no part of this"):
      _write(writer, part._replace(records=1))


def test_score_set_of_another_corpus(tmp_path):
  _complete(tmp_path)
  found = score_sets.ScoreSet.open(tmp_path)
  found.check_corpus(CORPUS)
  with pytest.raises(artifacts.ArtifactError, match="corpus.fingerprint"):
    found.check_corpus({**CORPUS, "fingerprint": "2"})
  with pytest.raises(artifacts.ArtifactError, match="scorer.name"):
    _writer(tmp_path, scorer={"name": "y"})
  with pytest.raises(artifacts.ArtifactError, match="part_records"):
    score_set_writer.ScoreSetWriter(
      tmp_path,
      identity={"corpus": CORPUS, "scorer": {"name": "x"}},
      shards=SHARDS,
      part_records=3,
    )


def test_missing_parts_and_records(tmp_path):
  _complete(tmp_path)
  manifest, name = tmp_path / "manifest.json", "00000-00000-00002.parquet"
  fields = json.loads(manifest.read_text())
  entry = fields["parts"].pop(name)
  manifest.write_text(json.dumps(fields))
  with pytest.raises(artifacts.ArtifactError, match="'b' from record 0 on"):
    score_sets.ScoreSet.open(tmp_path)
  # Records that overlap, and records that are too few.
  for wrong in ({"start": 1}, {"records": 4}):
    fields["parts"][name] = {**entry, **wrong}
    manifest.write_text(json.dumps(fields))
    with pytest.raises(artifacts.ArtifactError, match="do not cover"):
      score_sets.ScoreSet.open(tmp_path)
  # A part of the right name with another part's records.
  other = tmp_path / "00002-00000.parquet"
  fields["parts"][name] = {
    **entry,
    "bytes": other.stat().st_size,
    "xxh3_128": fields["parts"][other.name]["xxh3_128"],
  }
  manifest.write_text(json.dumps(fields))
  (tmp_path / name).write_bytes(other.read_bytes())
  found = score_sets.ScoreSet.open(tmp_path)
  with pytest.raises(artifacts.ArtifactError, match="damaged .the footer"):
    found.read(["score"])
  (tmp_path / name).unlink()
  with pytest.raises(artifacts.ArtifactError, match="listed in"):
    found.read(["score"])


def test_bad_writers(tmp_path):
  with pytest.raises(artifacts.ArtifactError, match="part_records = 0"):
    score_set_writer.ScoreSetWriter(
      tmp_path / "x", identity={"corpus": {}}, shards={}, part_records=0
    )
  assert not (tmp_path / "x").exists()
