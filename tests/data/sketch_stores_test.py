# SPDX-License-Identifier: Apache-2.0
"""One process, several and a pipeline's workers leave the same sketch."""

import functools
import threading

import numpy as np
import pytest

from data_efficient import processes
from data_efficient.data import sketch_stores, sketches
from data_efficient.scorers import bandwidth, density, hash_families, uniform
from tests.data.sketches_test import (
  IDENTITY,
  PART_RECORDS,
  PARTS,
  absorbed,
  begun,
  kept,
  pool,
)


def whole_bytes(tmp_path):
  """The file of one process that nobody stops."""
  sketches.write(tmp_path / "whole", kept())
  return (tmp_path / "whole").read_bytes()


def count(start, only, place):
  return absorbed(only, start, place)


class Stopped(Exception):
  """What a test stops a pass with."""


def test_a_stopped_pass_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
  whole = whole_bytes(tmp_path)
  path = tmp_path / "sketch"
  write, written = sketches.write, []

  def stopping(path, one):
    write(path, one)
    written.append(one.absorbed.parts)
    if len(written) == 3:
      raise Stopped

  monkeypatch.setattr(sketches, "write", stopping)

  def store():
    return sketch_stores.FileStore(path, identity=IDENTITY, seconds=0.0)

  assert store().load() is None
  with pytest.raises(Stopped):
    absorbed(place=store())
  assert written == [(0,), (0, 1), (0, 1, 2)]
  absorbed(start=store().load(), place=store())
  assert path.read_bytes() == whole


def test_a_file_is_due_now_and_then(tmp_path):
  path = tmp_path / "a"
  assert not sketch_stores.FileStore(path, identity=IDENTITY).due()
  assert sketch_stores.FileStore(path, identity=IDENTITY, seconds=0.0).due()


def test_only_a_scorer_with_a_sketch_gets_a_store(tmp_path):
  scorer = density.Density(
    num_rows=12,
    num_buckets=31,
    family=hash_families.Angular(projection="dense"),
    bandwidth=bandwidth.AngularBits(bits=4),
    seed=0,
    block=16,
    part_records=PART_RECORDS,
  )
  sketch_stores.keep_beside(tmp_path, scorer, IDENTITY, lambda: len(pool()))
  scorer.prepare(lambda split: iter([pool()]))
  found = sketches.read(tmp_path / sketch_stores.NAME)
  np.testing.assert_array_equal(
    found.absorbed.counts, scorer.state.sketch.counts
  )
  assert found.identity == {**IDENTITY, "part_records": PART_RECORDS}
  other = uniform.Uniform()
  sketch_stores.keep_beside(tmp_path, other, IDENTITY, lambda: len(pool()))
  assert not hasattr(other, "sketch_store")


class Group:
  """Processes as threads, all of which are killed at one write of a file."""

  def __init__(self, monkeypatch, members, writes=None):
    self._own, self._members = threading.local(), members
    self._left, self._lock = writes, threading.Lock()
    self._barrier = threading.Barrier(members)
    write = sketches.write
    monkeypatch.setattr(processes, "index", lambda: self._own.index)
    monkeypatch.setattr(processes, "count", lambda: members)
    monkeypatch.setattr(
      processes, "wait", lambda label: self._barrier.wait(timeout=60)
    )
    monkeypatch.setattr(
      sketches, "write", lambda *arguments: self._written(write, *arguments)
    )
    self.alive = 0

  def run(self, directory):
    threads = [
      threading.Thread(target=self._member, args=(directory, index))
      for index in range(self._members)
    ]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()

  def _member(self, directory, index):
    self._own.index = index
    store = sketch_stores.ProcessesStore(
      directory / "sketch", parts=len(PARTS), identity=IDENTITY, seconds=0.0
    )
    try:
      found = store.begin(begun)
      if found.total < found.records:
        found = store.complete(found, count)
    except (Stopped, threading.BrokenBarrierError):
      return
    assert found.total == found.records == len(pool())
    self.alive += 1

  def _written(self, write, *arguments):
    with self._lock:
      if self._left == 0:
        raise Stopped
      write(*arguments)
      if self._left is not None:
        self._left -= 1
        if self._left == 0:
          self._barrier.abort()
          raise Stopped


@pytest.mark.parametrize("members", [1, 2, 3, 7])
def test_several_processes_leave_what_one_does(tmp_path, monkeypatch, members):
  whole = whole_bytes(tmp_path)
  (tmp_path / "scores").mkdir()
  group = Group(monkeypatch, members)
  group.run(tmp_path / "scores")
  assert group.alive == members
  assert (tmp_path / "scores/sketch").read_bytes() == whole
  assert [path.name for path in (tmp_path / "scores").iterdir()] == ["sketch"]


@pytest.mark.parametrize("before, after", [(1, 3), (3, 2), (2, 1), (3, 3)])
def test_what_some_counted_is_not_counted_again(
  tmp_path, monkeypatch, before, after
):
  whole = whole_bytes(tmp_path)
  # Of one write after another: the beginning, each part, each member's end,
  # and the one file, before the others are removed.
  for writes in range(1, 2 + len(PARTS) + before + 1):
    scores = tmp_path / f"{writes}"
    scores.mkdir()
    with monkeypatch.context() as patch:
      group = Group(patch, before, writes)
      group.run(scores)
      assert group.alive == 0
    with monkeypatch.context() as patch:
      Group(patch, after).run(scores)
    assert (scores / "sketch").read_bytes() == whole
    assert [path.name for path in scores.iterdir()] == ["sketch"]


def test_parts_that_are_there_are_not_read(tmp_path, monkeypatch):
  (tmp_path / "scores").mkdir()
  path = tmp_path / "scores" / "sketch"
  sketches.write(path, kept((0, 2)))
  store = sketch_stores.FileStore(path, identity=IDENTITY)
  store.piece(7).keep(absorbed((3,)))
  seen = []

  def counting(start, only, place):
    seen.extend(only)
    return count(start, only, place)

  monkeypatch.setattr(processes, "wait", lambda label: None)
  alone = sketch_stores.ProcessesStore(
    path, parts=len(PARTS), identity=IDENTITY
  )
  found = alone.complete(alone.begin(begun), counting)
  assert seen == [1, 4]
  assert path.read_bytes() == whole_bytes(tmp_path)
  assert found.parts == tuple(PARTS)


def test_a_pipeline_leaves_what_one_process_does(tmp_path, monkeypatch):
  whole = whole_bytes(tmp_path)
  (tmp_path / "scores").mkdir()
  done = []

  def each(function, number, stop=None):
    """In any order, some twice, and perhaps not to the end."""
    for at in [*range(number)[::-1], 0][:stop]:
      done.append(at)
      yield function(at)

  def store(stop=None):
    return sketch_stores.PipelineStore(
      tmp_path / "scores" / "sketch",
      parts=len(PARTS),
      each=functools.partial(each, stop=stop),
      identity=IDENTITY,
    )

  monkeypatch.setattr(sketch_stores, "_PIECES", 3)
  first = store(stop=1)
  first.complete(first.begin(begun), count)
  assert done == [2]
  second = store()
  found = second.complete(second.begin(begun), count)
  assert done == [2, 2, 1, 0, 0]
  assert found.total == len(pool())
  assert (tmp_path / "scores" / "sketch").read_bytes() == whole
  assert len(list((tmp_path / "scores").iterdir())) == 1
