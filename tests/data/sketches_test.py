# SPDX-License-Identifier: Apache-2.0
"""Sketches as files: the same bytes, merged, damaged, and of something else."""

import json

import jax
import numpy as np
import pytest

from data_efficient.data import artifacts, sketch_stores, sketches
from data_efficient.kernels import p_stable
from data_efficient.scorers import absorbing
from data_efficient.scorers.sketch_store import Absorbed

PARTS = range(5)
PART_RECORDS = 40
IDENTITY = {
  "inputs": {"kind": "embedding", "embedding": {"dimensions": 6}},
  "scorer": {
    "seed": 0,
    "num_rows": 12,
    "num_buckets": 31,
    "family": {"family": "p_stable", "hashes_per_row": 1},
    "bandwidth": {"rule": "fixed", "bandwidth": 1.0},
  },
}


def pool():
  records = len(PARTS) * PART_RECORDS - 7
  return np.random.default_rng(0).normal(size=(records, 6)).astype(np.float32)


def begun(**changes):
  nothing = Absorbed(
    width=0.1 + 0.2,  # no short number
    dimensions=6,
    records=len(pool()),
    parts=(),
    counts=np.zeros((12, 31), np.int32),
    total=0,
  )
  return nothing._replace(**changes)


def absorbed(only=None, start=None, place=None):
  hashes = p_stable.init(
    jax.random.key(0), dimensions=6, num_rows=12, width=1.0
  )
  return absorbing.absorb(
    lambda first, last: iter([pool()[first:last]]),
    hashes,
    start or begun(),
    block=16,
    part_records=PART_RECORDS,
    place=place,
    only=only,
  )


def kept(only=None, **changes):
  return sketches.Kept(IDENTITY, absorbed(only)._replace(**changes))


def _bytes(path, one):
  sketches.write(path, one)
  return path.read_bytes()


def test_what_is_written_is_read(tmp_path):
  one = kept()
  sketches.write(tmp_path / "a", one)
  found = sketches.read(tmp_path / "a")
  assert found.identity == IDENTITY
  assert found.absorbed._replace(counts=None) == one.absorbed._replace(
    counts=None
  )
  np.testing.assert_array_equal(found.absorbed.counts, one.absorbed.counts)
  assert found.absorbed.counts.sum() == 12 * len(pool())
  assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("mine", [(0, 1), (0, 3), (4,), (1, 2, 3, 4)])
def test_merging_parts_gives_the_bytes_of_the_whole(tmp_path, mine):
  rest = [number for number in PARTS if number not in mine]
  left, right = kept(mine), kept(rest)
  assert left.absorbed.parts == mine
  whole = _bytes(tmp_path / "whole", kept())
  assert _bytes(tmp_path / "a", sketches.merged(left, right)) == whole
  assert _bytes(tmp_path / "b", sketches.merged(right, left)) == whole
  # Also after a detour through files.
  halves = [tmp_path / "left", tmp_path / "right"]
  for path, half in zip(halves, (left, right), strict=True):
    sketches.write(path, half)
  again = sketches.merged(*map(sketches.read, halves))
  assert _bytes(tmp_path / "c", again) == whole


def test_parts_are_not_counted_twice():
  with pytest.raises(artifacts.ArtifactError, match="1 parts.* is part 2"):
    sketches.merged(kept((1, 2)), kept((2, 3)))


def _changed(path, value):
  """The identity with one field changed."""
  identity = json.loads(json.dumps(IDENTITY))
  *outer, last = path.split(".")
  inner = identity
  for name in outer:
    inner = inner[name]
  inner[last] = value
  return identity


@pytest.mark.parametrize(
  "field, value",
  [
    ("scorer.seed", 1),
    ("scorer.family.family", "angular"),
    ("scorer.bandwidth.bandwidth", 2.0),
    ("scorer.num_rows", 24),
    ("scorer.num_buckets", 62),
    ("inputs.embedding.dimensions", 7),
  ],
)
def test_another_sketch_is_refused_by_name(tmp_path, field, value):
  identity = _changed(field, value)
  other = kept((3,))._replace(identity=identity)
  with pytest.raises(artifacts.ArtifactError, match=rf"identity\.{field}: "):
    sketches.merged(kept((1, 2)), other)
  sketches.write(tmp_path / "a", kept())
  store = sketch_stores.FileStore(tmp_path / "a", identity=identity)
  with pytest.raises(artifacts.ArtifactError, match=rf"{field}: found"):
    store.load()


@pytest.mark.parametrize(
  "change",
  [
    {"width": 0.5},
    {"dimensions": 7},
    {"records": 9},
    {"counts": np.zeros((12, 30), np.int32)},
  ],
)
def test_another_width_pool_or_shape_is_refused_by_name(change):
  (field,) = change
  name = "shape" if field == "counts" else field
  with pytest.raises(artifacts.ArtifactError, match=f"{name}: found"):
    sketches.merged(kept((1, 2)), kept((3,), **change))


@pytest.mark.parametrize("at", [3, 30, -40, -3])
def test_a_damaged_file_is_refused(tmp_path, at):
  path = tmp_path / "a"
  data = bytearray(_bytes(path, kept()))
  data[at] ^= 1
  path.write_bytes(data)
  with pytest.raises(artifacts.ArtifactError, match="damaged|not a density"):
    sketches.read(path)
  path.write_bytes(data[: len(data) // 2])
  with pytest.raises(artifacts.ArtifactError, match="damaged|not a density"):
    sketches.read(path)


def test_another_version_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(sketches, "FORMAT_VERSION", 2)
  sketches.write(tmp_path / "a", kept())
  monkeypatch.undo()
  with pytest.raises(artifacts.ArtifactError, match="version 2.* version 1"):
    sketches.read(tmp_path / "a")
