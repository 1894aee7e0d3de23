# SPDX-License-Identifier: Apache-2.0
"""Selections of an experiment: which may be compared, and what each keeps."""

import collections
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from data_efficient.data import artifacts, selections
from data_efficient.evaluation.admission import LeftOut
from data_efficient.evaluation.run_fields import EvaluationError


class Key(NamedTuple):
  """One selection.

  Attributes:
    method: its name in tables.
    budget: kept fraction that was asked for; 1 for the full data.
    seed: of the selection and of its run.
  """

  method: str
  budget: float
  seed: int


class Kept(NamedTuple):
  """What a selection keeps.

  Attributes:
    key: which one it is.
    kind: of its budget, which counts examples or tokens; see `budget.Kind`.
    selection: on disk.
    records: how many.
    tokens: of them; None where nobody counted.
    fingerprint: equal for equal sets of records.
  """

  key: Key
  kind: str
  selection: selections.Selection
  records: int
  tokens: int | None
  fingerprint: str


def folders(directory: pathlib.Path) -> list[pathlib.Path]:
  """The directories in a directory, sorted."""
  return sorted(path for path in directory.glob("*") if path.is_dir())


def read(
  directory: pathlib.Path, methods: Sequence[str] | None, left: list[LeftOut]
) -> dict[str, Kept]:
  """Name -> selection; of those that clash none.

  Args:
    directory: of selections.
    methods: those that are compared; None: all that are there.
    left: gets what is left out.
  """
  found: dict[str, Kept] = {}
  for path in folders(directory):
    try:
      made = _selection(path)
    except (artifacts.ArtifactError, EvaluationError) as error:
      left.append(LeftOut(str(path), str(error)))
      continue
    if methods is not None and made.key.method not in methods:
      words = f"of {made.key.method!r}, which is not compared"
      left.append(LeftOut(str(path), words))
      continue
    found[path.name] = made
  alike = collections.Counter(_comparable(made) for made in found.values())
  most = max(alike, key=alike.__getitem__, default=None)
  for name in [n for n, made in found.items() if _comparable(made) != most]:
    words = (
      "a selection of another pool, or with a budget of another kind (of "
      "examples, of tokens), than most of the others"
    )
    left.append(LeftOut(str(directory / name), words))
    del found[name]
  return _once(directory, found, left)


def _once(
  directory: pathlib.Path, found: dict[str, Kept], left: list[LeftOut]
) -> dict[str, Kept]:
  names = collections.defaultdict(list)
  for name, made in found.items():
    names[made.key].append(name)
  for same in names.values():
    if len(same) > 1:
      for name in same:
        words = (
          f"the same method, budget and seed as {', '.join(same)}: which of "
          "them counts cannot be told; move the others away"
        )
        left.append(LeftOut(str(directory / name), words))
        del found[name]
  return found


def _selection(path: pathlib.Path) -> Kept:
  made = selections.Selection.open(path)
  identity, summary = made.identity, made.summary
  try:
    budget = identity["budget"]
    kind = str(budget["kind"])
    key = Key(
      str(identity["sampler"]),
      float(budget["amount"]),
      int(identity["seed"]),
    )
    records, tokens = int(summary["kept_records"]), summary.get("kept_tokens")
  except (KeyError, TypeError, ValueError) as error:
    raise EvaluationError(
      f"{path}: no selection of the verb `select` ({error!r})"
    ) from None
  return Kept(key, kind, made, records, tokens, made.fingerprint())


def _comparable(made: Kept) -> tuple[str, str]:
  """Of which corpus it is, and what its budget counts."""
  return made.selection.identity["corpus"]["fingerprint"], made.kind
