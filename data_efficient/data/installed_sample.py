# SPDX-License-Identifier: Apache-2.0
"""Draws passages from the text files of installed packages.

Files are taken in the order of a hash of (seed, file name, bytes), and a few
passages of each by a hash of (seed, text). So copies of a file or a text are
drawn together, and the share of exact duplicates stays what it is.
"""

import functools
import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import xxhash

from data_efficient.data import installed_files

_A_FILE = 8  # passages at most: one generated file must not fill a package


class Passage(NamedTuple):
  """A passage: its file, its number there, its text, kind and module."""

  name: str
  index: int
  text: str
  kind: str
  module: str


_Cut = Callable[[installed_files.File], list[Passage]]


class Sampler(NamedTuple):
  """How passages are drawn.

  Attributes:
    docstring_share: share of docstrings in a package's sample.
    seed: of the hashes.
  """

  docstring_share: float
  seed: int

  def draw(
    self, package: installed_files.Package, quota: int, *, documented: bool
  ) -> list[Passage]:
    """Draws passages of a package.

    Args:
      package: the package.
      quota: how many; fewer if there are not as many.
      documented: whether to take all its docstrings besides.

    Returns:
      The passages, ordered by file and place.
    """
    docstrings = functools.cache(_docstrings)  # drawn from, then all taken
    strata = self._strata(package.files, docstrings)
    queues = [
      _timed(drawn, weight, order)
      for order, (weight, drawn) in enumerate(strata)
    ]
    merged = heapq.merge(*queues, key=lambda item: item[0])
    chosen = {
      (passage.name, passage.kind == "docstring", passage.index): passage
      for _, passage in itertools.islice(merged, quota)
    }
    if documented:
      for file in _python(package.files):
        for passage in docstrings(file):
          chosen[passage.name, True, passage.index] = passage
    return [chosen[key] for key in sorted(chosen)]

  def _strata(
    self, files: Sequence[installed_files.File], docstrings: _Cut
  ) -> list[tuple[float, Iterator[Passage]]]:
    """Returns a weight and an ordered draw for docstrings and each kind."""
    kinds = sorted({file.kind for file in files})
    roots = {
      kind: math.sqrt(sum(file.bytes for file in files if file.kind == kind))
      for kind in kinds
    }
    total = sum(roots.values()) or 1.0
    strata = [
      (
        (1 - self.docstring_share) * roots[kind] / total,
        self._draw([file for file in files if file.kind == kind], _raw),
      )
      for kind in kinds
    ]
    drawn = self._draw(_python(files), docstrings)
    strata.append((self.docstring_share, drawn))
    return [stratum for stratum in strata if stratum[0] > 0]

  def _draw(
    self,
    files: Sequence[installed_files.File],
    cut: _Cut,
  ) -> Iterator[Passage]:
    def file_key(file: installed_files.File) -> tuple[int, str]:
      return self._hash(f"{file.path.name}\0{file.bytes}"), file.name

    for file in sorted(files, key=file_key):
      drawn = sorted(cut(file), key=lambda passage: self._hash(passage.text))
      yield from drawn[:_A_FILE]

  def _hash(self, text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8"), seed=self.seed)


def quotas(
  packages: Sequence[installed_files.Package], total: int
) -> dict[str, int]:
  """Returns each package's share of `total`, by the root of its bytes."""
  roots = {
    package.name: math.sqrt(sum(file.bytes for file in package.files))
    for package in packages
  }
  whole = sum(roots.values()) or 1.0
  return {name: round(total * root / whole) for name, root in roots.items()}


def topics() -> list[Passage]:
  """Returns the passages of the language reference."""
  return [
    Passage(topic, index, text, "topic", f"pydoc_data.topics.{topic}")
    for topic, texts in installed_files.topics().items()
    for index, text in enumerate(texts)
  ]


def _timed(
  drawn: Iterator[Passage], weight: float, order: int
) -> Iterator[tuple[tuple[float, int], Passage]]:
  """Yields when each passage of a stratum is due: the i-th at i / weight."""
  for i, passage in enumerate(drawn, 1):
    yield (i / weight, order), passage


def _python(
  files: Iterable[installed_files.File],
) -> list[installed_files.File]:
  return [file for file in files if file.name.endswith(".py")]


def _raw(file: installed_files.File) -> list[Passage]:
  return [
    Passage(file.name, index, text, file.kind, file.module)
    for index, text in enumerate(installed_files.passages(file))
  ]


def _docstrings(file: installed_files.File) -> list[Passage]:
  return [
    Passage(file.name, index, text, "docstring", file.module)
    for index, text in enumerate(installed_files.docstrings(file))
  ]
