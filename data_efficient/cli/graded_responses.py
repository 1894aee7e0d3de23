# SPDX-License-Identifier: Apache-2.0
"""What the verb `grade` reads: the responses of some runs."""

import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash

from data_efficient.cli import respond
from data_efficient.data import instructions
from data_efficient.scorers import interface
from data_efficient.scorers.templates import Instruction


class GradeError(ValueError):
  """Responses that cannot be graded, or not be compared."""


class Responses(NamedTuple):
  """What a run answered, without records that nothing was asked of.

  Attributes:
    name: of the run's directory.
    digest: of its responses.jsonl.
    rows: of it.
  """

  name: str
  digest: str
  rows: list[dict[str, Any]]

  @property
  def fingerprints(self) -> np.ndarray:
    """Of each task and its reference, uint64 [n]."""
    pairs = (Instruction(row["prompt"], row["reference"]) for row in self.rows)
    return np.array(list(map(instructions.fingerprint, pairs)), np.uint64)


class Work(NamedTuple):
  """A score set that is to be made.

  Attributes:
    name: of its directory.
    runs: whose responses it is about, one or two.
    items: what is asked, one a row.
    score: scores some of them.
  """

  name: str
  runs: tuple[Responses, ...]
  items: Sequence[Any]
  score: Callable[..., interface.Scores]


def read_all(runs: Sequence[str]) -> list[Responses]:
  """The responses of runs, whose directories have different names.

  Raises:
    GradeError: they have not, or there is none.
  """
  names = [pathlib.Path(run).name for run in runs]
  if not runs or isinstance(runs, str) or len(set(names)) < len(names):
    raise GradeError(
      f"RUNS = {runs!r}: expected a list of directories with different names"
    )
  return list(map(read, runs))


def read(run: str) -> Responses:
  """The responses of a run.

  Raises:
    GradeError: there are none.
  """
  path = pathlib.Path(run, respond.ROWS)
  if not pathlib.Path(run, respond.FILE).exists() or not path.exists():
    raise GradeError(
      f"{run}: no finished responses there: run `respond` with OUTPUT={run}"
    )
  data = path.read_bytes()
  lines = data.decode("utf-8").split("\n")
  rows = [json.loads(line) for line in lines if line]
  asked = [row for row in rows if row["status"] == interface.SCORED]
  name = pathlib.Path(run).name
  return Responses(name, xxhash.xxh3_128_hexdigest(data), asked)


def compared(
  found: Sequence[Responses], runs: Sequence[str], baseline: str | None
) -> Responses | None:
  """The responses that others are compared with.

  Raises:
    GradeError: no such run, or one of another test.
  """
  if baseline is None:
    return None
  if baseline not in runs or len(runs) < 2:
    raise GradeError(
      f"BASELINE = {baseline!r}: expected one of RUNS, {list(runs)}, and a "
      "second run beside it"
    )
  chosen = found[list(runs).index(baseline)]
  for one in found:
    same = np.array_equal(one.fingerprints, chosen.fingerprints)
    if not same:
      raise GradeError(
        f"{one.name} and {chosen.name} answered different tests "
        f"({len(one.rows):,} and {len(chosen.rows):,} records): compare runs "
        "of `respond` with the same TEST and MAX_TOKENS"
      )
  return chosen
