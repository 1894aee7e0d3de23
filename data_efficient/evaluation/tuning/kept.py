# SPDX-License-Identifier: Apache-2.0
"""Selections of an experiment: which may be compared, and what each keeps."""

import collections
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from data_efficient.data import artifacts, selections
from data_efficient.evaluation import names
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
  _agree(directory, found, left, _corpus, "of another pool")
  kind = "with a budget of another kind (of examples, of tokens)"
  _agree(directory, found, left, _kind, kind)
  return _once(directory, found, left)


def _agree(
  directory: pathlib.Path,
  found: dict[str, Kept],
  left: list[LeftOut],
  fact: Callable[[Kept], str | None],
  words: str,
) -> None:
  """Leaves out what differs from most in a fact; None differs from nothing."""
  facts = {name: fact(made) for name, made in found.items()}
  alike = collections.Counter(v for v in facts.values() if v is not None)
  most = max(alike, key=alike.__getitem__, default=None)
  for name, value in facts.items():
    if value not in (None, most):
      reason = f"a selection {words} than most of the others"
      left.append(LeftOut(str(directory / name), reason))
      del found[name]


def _once(
  directory: pathlib.Path, found: dict[str, Kept], left: list[LeftOut]
) -> dict[str, Kept]:
  by_key = collections.defaultdict(list)
  for name, made in found.items():
    by_key[made.key].append(name)
  for same in by_key.values():
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


def _corpus(made: Kept) -> str:
  return made.selection.identity["corpus"]["fingerprint"]


def _kind(made: Kept) -> str | None:
  """None for the full data, which are the same by any count."""
  return None if made.key.method == names.FULL else made.kind
