# SPDX-License-Identifier: Apache-2.0
"""Passes over the shards of a corpus."""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

Result = TypeVar("Result")
# (a function of a shard's number, number of shards) -> what it returns of each
Each = Callable[[Callable[[int], Result], int], Iterator[Result]]

_AHEAD = 2  # shards begun or waiting for each processor


def mapped(function: Callable[[int], Result], count: int) -> Iterator[Result]:
  """Yields function(0), function(1), … in order, made by all processors."""
  threads = min(os.cpu_count() or 1, count)
  if threads < 2:
    yield from map(function, range(count))
    return
  waiting: collections.deque[concurrent.futures.Future] = collections.deque()
  with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    try:
      for number in range(count):
        waiting.append(pool.submit(function, number))
        if len(waiting) >= _AHEAD * threads:
          yield waiting.popleft().result()
      while waiting:
        yield waiting.popleft().result()
    finally:
      for future in waiting:
        future.cancel()
