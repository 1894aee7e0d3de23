# SPDX-License-Identifier: Apache-2.0
"""A uniform sample of a stream, the same however the stream is blocked."""

import heapq
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

from data_efficient.kernels import sampling

Item = TypeVar("Item")
KEYS_AT_ONCE = 4096


def sample(items: Iterable[Item], count: int, *, seed: int) -> list[Item]:
  """Returns `count` of the items (all, if there are fewer) in their order.

  The i-th item has a key that depends on (seed, i) alone, and the items of the
  smallest keys are taken: every stream of the same items gives the same
  sample. The stream is read to its end, also for a sample of none.
  """
  heap: list[tuple[float, int, Item]] = []
  for index, (key, item) in enumerate(zip(_keys(seed), items, strict=False)):
    # The index is unique, so that items themselves are never compared.
    entry = (-key, -index, item)
    if len(heap) < count:
      heapq.heappush(heap, entry)
    elif heap and entry[:2] > heap[0][:2]:
      heapq.heapreplace(heap, entry)
  return [item for _, _, item in sorted(heap, key=lambda entry: -entry[1])]


def _keys(seed: int) -> Iterator[np.float64]:
  start = 0
  while True:
    yield from sampling.uniforms(
      seed=seed, stream=0, count=KEYS_AT_ONCE, start=start
    )
    start += KEYS_AT_ONCE
