# SPDX-License-Identifier: Apache-2.0
"""The atomic writer: killed, torn, flipped, deleted, contended."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pytest

from data_efficient.data import artifacts, manifests

JOURNAL = "journal-00000.jsonl"


def _table(n=5):
  texts = ["one", "two", "one", "two", "three"]
  return pa.table({"a": texts[:n], "b": np.arange(n) * 0.5})


def _write(directory, parts=("0.parquet", "1.parquet"), **identity):
  with artifacts.Writer(directory, kind="numbers", identity=identity) as writer:
    for part in parts:
      if not writer.has(part):
        writer.write_table(part, _table(), shard="s")
    if not writer.complete:
      writer.finish(total=10)


def test_round_trip_and_equal_bytes(tmp_path):
  _write(tmp_path / "x", seed=1)
  _write(tmp_path / "y", seed=1)
  for name in ("manifest.json", "0.parquet", "1.parquet"):
    first, second = tmp_path / "x" / name, tmp_path / "y" / name
    assert first.read_bytes() == second.read_bytes()
  table = artifacts.read_table(tmp_path / "x", "0.parquet", columns=["b"])
  assert table.column_names == ["b"] and table.num_rows == 5
  fields = json.loads((tmp_path / "x" / "manifest.json").read_text())
  assert set(fields) == {
    *("format_version", "kind", "identity", "parts", "complete", "summary")
  }
  assert fields["parts"]["0.parquet"]["records"] == 5
  assert fields["summary"] == {"total": 10}
  # Nothing is written a second time.
  stamp = (tmp_path / "x" / "manifest.json").stat().st_mtime_ns
  _write(tmp_path / "x", seed=1)
  assert (tmp_path / "x" / "manifest.json").stat().st_mtime_ns == stamp


def test_identity_that_differs_is_named(tmp_path):
  _write(tmp_path, model={"path": "a", "steps": 1})
  with pytest.raises(artifacts.ArtifactError) as error:
    _write(tmp_path, model={"path": "b"}, seed=2)
  message = str(error.value)
  assert 'model.path: found "a", expected "b"' in message
  assert "model.steps: found 1, expected <absent>" in message
  assert "seed: found <absent>, expected 2" in message
  with pytest.raises(artifacts.ArtifactError, match="numbers, where a letters"):
    artifacts.Writer(tmp_path, kind="letters", identity={})


def test_second_writer_is_refused(tmp_path):
  with artifacts.Writer(tmp_path, kind="numbers", identity={}):
    with pytest.raises(artifacts.ArtifactError, match=str(tmp_path)):
      artifacts.Writer(tmp_path, kind="numbers", identity={})
  artifacts.Writer(tmp_path, kind="numbers", identity={}).close()


def test_unfinished_is_refused_and_resumes(tmp_path):
  with artifacts.Writer(tmp_path, kind="numbers", identity={}) as writer:
    writer.write_table("0.parquet", _table(), shard="s")
    (tmp_path / "1.parquet.tmp").write_bytes(b"half")
  with pytest.raises(artifacts.ArtifactError, match=r"unfinished \(1 parts"):
    artifacts.read_manifest(tmp_path, kind="numbers")
  _write(tmp_path)
  assert not list(tmp_path.glob("*.tmp"))
  assert artifacts.read_manifest(tmp_path, kind="numbers").complete


@pytest.mark.parametrize("content", [b"", b'{"kind": "num', b"[1]", b"\xff{}"])
def test_torn_manifest(tmp_path, content):
  _write(tmp_path)
  (tmp_path / "manifest.json").write_bytes(content)
  with pytest.raises(artifacts.ArtifactError, match="manifest.json"):
    artifacts.read_manifest(tmp_path, kind="numbers")
  with pytest.raises(artifacts.ArtifactError, match="manifest.json"):
    _write(tmp_path)
  assert (tmp_path / "manifest.json").read_bytes() == content


def test_every_flipped_byte_is_noticed(tmp_path):
  _write(tmp_path)
  path = tmp_path / "0.parquet"
  data = path.read_bytes()
  for place in range(0, len(data), 7):
    flipped = bytearray(data)
    flipped[place] ^= 4
    path.write_bytes(flipped)
    with pytest.raises(artifacts.ArtifactError, match="0.parquet: damaged"):
      artifacts.read_table(tmp_path, "0.parquet")
  path.write_bytes(data[:-1])
  with pytest.raises(artifacts.ArtifactError, match="bytes, expected"):
    artifacts.read_table(tmp_path, "0.parquet", columns=["a"])


def test_a_flipped_byte_is_noticed_by_who_reads_its_column(tmp_path):
  _write(tmp_path)
  path = tmp_path / "0.parquet"
  whole = {
    name: artifacts.read_table(tmp_path, path.name, columns=[name])
    for name in "ab"
  }
  data = path.read_bytes()
  noticed = {"a": set(), "b": set()}
  for place in range(len(data)):
    flipped = bytearray(data)
    flipped[place] ^= 4
    path.write_bytes(flipped)
    for name in "ab":
      try:
        found = artifacts.read_table(tmp_path, path.name, columns=[name])
      except artifacts.ArtifactError as error:
        assert "0.parquet: damaged" in str(error)
        noticed[name].add(place)
      else:
        assert found == whole[name]
  # Each column's own bytes; the footer's are both's. The first four are a
  # magic word that no reader of a column needs.
  assert noticed["a"] | noticed["b"] == set(range(4, len(data)))
  assert noticed["a"] - noticed["b"] and noticed["b"] - noticed["a"]


def test_deleted_part_is_an_error_and_is_made_again(tmp_path):
  _write(tmp_path)
  (tmp_path / "1.parquet").unlink()
  with pytest.raises(artifacts.ArtifactError, match="1.parquet: listed"):
    artifacts.read_table(tmp_path, "1.parquet")
  _write(tmp_path)
  assert artifacts.read_table(tmp_path, "1.parquet").num_rows == 5


def test_what_cannot_be_written_leaves_nothing(tmp_path):
  with artifacts.Writer(tmp_path, kind="numbers", identity={}) as writer:
    for part in ("../x", "a/b", "", ".lock", "manifest.json", "a.tmp", JOURNAL):
      with pytest.raises(artifacts.ArtifactError, match="cannot name a part"):
        writer.write_bytes(part, b"")
    with pytest.raises(artifacts.ArtifactError, match="JSON"):
      writer.write_bytes("0", b"", mean=float("nan"))
    assert sorted(os.listdir(tmp_path)) == [".lock", "manifest.json"]
    writer.write_bytes("0", b"1", count=np.int64(3))
    with pytest.raises(artifacts.ArtifactError, match="the part is there"):
      writer.write_bytes("0", b"2")
    writer.finish()
    with pytest.raises(artifacts.ArtifactError, match="complete"):
      writer.write_bytes("1", b"2")
  with pytest.raises(artifacts.ArtifactError, match="closed"):
    writer.finish()
  assert artifacts.read_bytes(tmp_path, "0") == b"1"


def test_missing_artifact_and_missing_column(tmp_path):
  with pytest.raises(artifacts.ArtifactError, match="no numbers there"):
    artifacts.read_manifest(tmp_path, kind="numbers")
  _write(tmp_path / "x")
  with pytest.raises(artifacts.ArtifactError, match="no column c; it has a, b"):
    artifacts.read_table(tmp_path / "x", "0.parquet", columns=["c"])
  with pytest.raises(artifacts.ArtifactError, match="no part '7'"):
    artifacts.read_bytes(tmp_path / "x", "7")


def test_atomic_write_keeps_the_old_file_on_failure(tmp_path, monkeypatch):
  path = tmp_path / "file"
  artifacts.atomic_write(path, b"old")

  def fail(*args):
    raise OSError("disk full")

  monkeypatch.setattr(os, "replace", fail)
  with pytest.raises(OSError, match="disk full"):
    artifacts.atomic_write(path, b"new")
  assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_killed_writer_resumes(tmp_path):
  script = textwrap.dedent("""
    import os, signal, sys
    from data_efficient.data import artifacts
    writer = artifacts.Writer(sys.argv[1], kind="numbers", identity={})
    writer.write_bytes("0", b"zero")
    os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
    writer.write_bytes("1", b"one")
  """)
  done = subprocess.run([sys.executable, "-c", script, str(tmp_path)])
  assert done.returncode == -signal.SIGKILL
  assert list(tmp_path.glob("1.*.tmp")) and not (tmp_path / "1").exists()
  with artifacts.Writer(tmp_path, kind="numbers", identity={}) as writer:
    assert writer.has("0") and not writer.has("1")
    assert not list(tmp_path.glob("*.tmp"))


def _member(directory, member):
  return artifacts.Writer(
    directory, kind="numbers", identity={"seed": 1}, member=member
  )


def test_a_group_writes_what_one_writer_does(tmp_path):
  _write(tmp_path / "one", seed=1)
  with pytest.raises(artifacts.ArtifactError, match="first process has not"):
    _member(tmp_path / "group", 1)
  with _member(tmp_path / "group", 0) as first:
    with _member(tmp_path / "group", 1) as second:
      second.write_table("1.parquet", _table(), shard="s")
      with pytest.raises(artifacts.ArtifactError, match="finishes it"):
        second.finish(total=10)
    first.write_table("0.parquet", _table(), shard="s")
    assert not first.has("1.parquet")
    first.gather()
    assert first.has("1.parquet")
    first.finish(total=10)
  names = sorted(os.listdir(tmp_path / "one"))
  assert sorted(os.listdir(tmp_path / "group")) == names
  for name in names:
    found = [
      (tmp_path / which / name).read_bytes() for which in ("one", "group")
    ]
    assert found[0] == found[1]


def test_a_line_cut_short_is_no_entry(tmp_path):
  with artifacts.Writer(tmp_path, kind="numbers", identity={}) as writer:
    writer.write_bytes("0", b"zero")
    writer.write_bytes("1", b"one")
  path = tmp_path / JOURNAL
  path.write_bytes(path.read_bytes()[:-5])
  with artifacts.Writer(tmp_path, kind="numbers", identity={}) as writer:
    assert writer.has("0") and not writer.has("1")
    assert not path.exists()  # the manifest has it now
    writer.write_bytes("1", b"uno")
    writer.finish()
  assert artifacts.read_bytes(tmp_path, "1") == b"uno"


def test_parts_that_are_lost_after_the_end_are_made_again(tmp_path):
  _write(tmp_path)
  (tmp_path / "0.parquet").unlink()
  with artifacts.Writer(tmp_path, kind="numbers", identity={}) as writer:
    assert not writer.complete and writer.has("1.parquet")
  # Killed before it is made: the manifest does not call itself complete.
  with pytest.raises(artifacts.ArtifactError, match="unfinished"):
    artifacts.read_manifest(tmp_path, kind="numbers")


def test_the_cost_of_a_part_does_not_grow_with_their_number(tmp_path):
  """Bytes written: a manifest rewritten for each part would be quadratic."""
  written = []
  plain = os.write

  def counted(descriptor, data):
    written.append(len(data))
    return plain(descriptor, data)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(os, "write", counted)
    with artifacts.Writer(tmp_path, kind="numbers", identity={}) as writer:
      for number in range(50):
        writer.write_bytes(f"{number:02d}", b"data")
  manifest = (tmp_path / "manifest.json").stat().st_size
  assert len(written) == 50 and max(written) == min(written)
  assert manifest < 500  # what it was when the artifact was opened


def test_differences_tell_booleans_from_numbers():
  assert manifests.differences({"a": 1}, {"a": True}) == [
    "a: found 1, expected true"
  ]


def test_a_finished_artifact_is_opened_by_many_at_once(tmp_path):
  path = tmp_path / "done"
  with artifacts.Writer(path, kind="test", identity={"a": 1}) as writer:
    writer.write_bytes("part", b"data")
    writer.finish()
  with (
    artifacts.Writer(path, kind="test", identity={"a": 1}) as first,
    artifacts.Writer(path, kind="test", identity={"a": 1}) as second,
  ):
    assert first.complete and second.complete
    with pytest.raises(artifacts.ArtifactError, match="closed"):
      second.finish()
  with pytest.raises(artifacts.ArtifactError, match="a: found 1, expected 2"):
    artifacts.Writer(path, kind="test", identity={"a": 2})
