# SPDX-License-Identifier: Apache-2.0
"""Parts of a corpus through a scorer: the host works while the device does.

    read ─► pack (a thread, two parts ahead) ─► step, step, … ─► unpack

A part's batches hold records of that part alone, in fixed shapes, so its
scores are the same bytes whoever computes it, and whatever was before.
"""

import collections
import concurrent.futures
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool

from data_efficient.scorers import interface

# Parts that are read and packed before they are needed.
_AHEAD = 2
# Steps that a device may have been given at once: one runs, one waits.
_IN_FLIGHT = 2


class Request(NamedTuple):
  """Some records to score.

  Attributes:
    key: whatever the caller knows them by.
    batch: n texts or instructions, or vectors [n, d].
    requested: which of them are to be scored, bool [n].
  """

  key: Any
  batch: interface.Batch
  requested: Bool[np.ndarray, " n"]


class Result(NamedTuple):
  """The scores of a request, one row for each of its records."""

  request: Request
  scores: interface.Scores


def run(
  scorer: interface.Scorer, requests: Iterable[Request]
) -> Iterator[Result]:
  """Yields the results in the order of the requests.

  Records that are not requested are not looked at.
  """
  if not isinstance(scorer, interface.DeviceScorer):
    for request in requests:
      yield Result(request, _spread(scorer.score(_asked(request)), request))
    return
  for request, packed in _packed(scorer, requests):
    results = _steps(scorer, packed.batches)
    yield Result(request, _spread(scorer.unpack(packed, results), request))


def score(
  scorer: interface.DeviceScorer, batch: interface.Batch
) -> interface.Scores:
  """Scores of some records, at once: `Scorer.score` of a `DeviceScorer`."""
  packed = scorer.pack(batch)
  return scorer.unpack(packed, _steps(scorer, packed.batches))


def _packed(
  scorer: interface.DeviceScorer, requests: Iterable[Request]
) -> Iterator[tuple[Request, interface.Packed]]:
  """Requests and what they are packed into, made in another thread."""
  requests = iter(requests)

  def pack() -> tuple[Request, interface.Packed] | None:
    request = next(requests, None)
    return request and (request, scorer.pack(_asked(request)))

  # One thread, so that requests are read in their order.
  with concurrent.futures.ThreadPoolExecutor(1, "pack") as host:
    ahead = collections.deque(host.submit(pack) for _ in range(_AHEAD))
    try:
      while found := ahead.popleft().result():
        ahead.append(host.submit(pack))
        yield found
    finally:
      for future in ahead:
        future.cancel()


def _steps(scorer: interface.DeviceScorer, batches: Sequence[Any]) -> list[Any]:
  """What the batches' steps return, in their order."""
  running: collections.deque = collections.deque()
  results = []
  for arrays in itertools.chain(batches, [None] * _IN_FLIGHT):
    if arrays is not None:
      running.append(scorer.step(arrays))
    if running and (arrays is None or len(running) >= _IN_FLIGHT):
      results.append(jax.device_get(running.popleft()))
  return results


def _asked(request: Request) -> interface.Batch:
  rows = np.flatnonzero(request.requested)
  if isinstance(request.batch, np.ndarray):
    return request.batch[rows]
  return [request.batch[row] for row in rows]


def _spread(scores: interface.Scores, request: Request) -> interface.Scores:
  """Scores of the requested records, among the others."""
  rows, count = np.flatnonzero(request.requested), len(request.batch)
  statuses = [interface.NOT_REQUESTED] * count
  for row, status in zip(rows, scores.statuses, strict=True):
    statuses[row] = status
  columns = {}
  for name, values in scores.columns.items():
    columns[name] = np.zeros((count, *values.shape[1:]), values.dtype)
    columns[name][rows] = values
  return interface.Scores(statuses, columns)
