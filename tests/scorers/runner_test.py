# SPDX-License-Identifier: Apache-2.0
"""The runner: order, overlap, and records that nobody asked for."""

import dataclasses
import threading

import numpy as np
import pytest

from data_efficient.scorers import interface, runner


@dataclasses.dataclass
class Lengths:
  """A device scorer: the length of a text; steps of two texts."""

  events: list = dataclasses.field(default_factory=list)
  name: str = "lengths"
  reads: interface.Reads = interface.Reads.TEXT
  part_records: int = 4

  def identity(self):
    return {"name": self.name}

  def prepare(self, read):
    pass

  def score(self, batch):
    return runner.score(self, batch)

  def pack(self, batch):
    self.events.append(("pack", list(batch), threading.get_ident()))
    pairs = [batch[i : i + 2] for i in range(0, len(batch), 2)]
    return interface.Packed(pairs, len(batch))

  def step(self, arrays):
    self.events.append(("step", list(arrays), threading.get_ident()))
    return np.array([len(text) for text in arrays], np.float32)

  def unpack(self, packed, results):
    values = np.concatenate([np.zeros(0, np.float32), *results])
    assert len(values) == packed.notes
    return interface.Scores(["scored"] * len(values), {"score": values})


class Plain(Lengths):
  """The same, without steps."""

  pack = step = unpack = None

  def score(self, batch):
    values = np.array([len(text) for text in batch], np.float32)
    return interface.Scores(["scored"] * len(values), {"score": values})


def _requests(count=6):
  for number in range(count):
    texts = ["x" * (10 * number + row) for row in range(4)]
    mask = np.arange(4) != number % 4
    yield runner.Request(number, texts, mask)


def test_a_scorer_with_steps_gives_what_one_without_gives():
  stepped = list(runner.run(Lengths(), _requests()))
  plain = list(runner.run(Plain(), _requests()))
  assert [r.request.key for r in stepped] == list(range(6))
  for ours, theirs in zip(stepped, plain, strict=True):
    number = ours.request.key
    assert ours.scores.statuses == theirs.scores.statuses
    assert ours.scores.statuses[number % 4] == "not_requested"
    found = ours.scores.columns["score"]
    np.testing.assert_array_equal(found, theirs.scores.columns["score"])
    kept = ours.request.requested
    expected = 10 * number + np.arange(4)
    np.testing.assert_array_equal(found[kept], expected[kept])


def test_the_next_part_is_packed_while_one_is_computed():
  second = threading.Event()

  class Waiting(Lengths):
    def pack(self, batch):
      if self.events:
        second.set()
      return super().pack(batch)

    def step(self, arrays):
      # The first step ends only when the second part has been begun.
      assert second.wait(timeout=20)
      return super().step(arrays)

  scorer = Waiting()
  results = runner.run(scorer, _requests())
  next(results)
  threads = {kind: thread for kind, _, thread in scorer.events}
  assert threads["step"] == threading.get_ident() != threads["pack"]
  results.close()  # and nothing hangs, or goes on to the end
  assert [kind for kind, *_ in scorer.events].count("pack") <= 4


def test_a_record_that_nobody_asked_for_is_not_looked_at():
  scorer = Lengths()
  list(runner.run(scorer, _requests(1)))
  seen = [text for kind, texts, _ in scorer.events for text in texts]
  assert "" not in seen and set(seen) == {"x", "xx", "xxx"}


def test_what_breaks_while_reading_is_raised_after_the_parts_before():
  def broken():
    yield from _requests(2)
    raise OSError("no disk")

  results = runner.run(Lengths(), broken())
  assert [next(results).request.key for _ in range(2)] == [0, 1]
  with pytest.raises(OSError, match="no disk"):
    next(results)
