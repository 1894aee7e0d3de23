# SPDX-License-Identifier: Apache-2.0
"""What came of each selection, read back from an experiment's directory.

    runs/NAME/             run.json, metrics.jsonl: a model tuned on a selection
    responses/USE/NAME/    responses.json: answers to the test set
    selections/NAME/       manifest.json: method, budget, seed, what is kept

A directory that is unfinished, damaged, of another method or test, or that
clashes with another is named and left out; it neither stops the others nor
vanishes.
"""

import collections
import json
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from data_efficient.evaluation import measures, run_fields
from data_efficient.evaluation.admission import LeftOut
from data_efficient.evaluation.run_fields import EvaluationError
from data_efficient.evaluation.tuning import kept as kept_sets
from data_efficient.evaluation.tuning.kept import Kept, Key
from data_efficient.evaluation.tuning.metrics import METRICS

TUNED, IN_CONTEXT = USES = ("tuned", "in_context")
BASE = "base"
_RESPONSES = "responses.json"
_AGAIN = "run the same command again: it resumes"


class Outcome(NamedTuple):
  """What was measured of one use of a selection.

  Attributes:
    use: one of `USES`.
    key: of the selection.
    draw: equal for outcomes that are one measurement: responses in context of
      equal selections are equal, whatever their seeds.
    values: metric -> value; NaN where there is none.
    run: facts of its run.json; empty of a use without a run.
  """

  use: str
  key: Key
  draw: str
  values: dict[str, float]
  run: Mapping[str, Any]


class Found(NamedTuple):
  """An experiment.

  Attributes:
    outcomes: of all selections and uses.
    kept: of all selections.
    base: metrics of the model that nothing was done to.
    left_out: directories that no figure was computed from.
  """

  outcomes: list[Outcome]
  kept: list[Kept]
  base: dict[str, float]
  left_out: list[LeftOut]


def read(root: pathlib.Path, methods: Sequence[str] | None) -> Found:
  """Reads an experiment.

  Args:
    root: its directory.
    methods: those that are compared; None: all that are there.

  Raises:
    EvaluationError: nothing is left to compare; names the first reasons.
  """
  left: list[LeftOut] = []
  kept = kept_sets.read(root / "selections", methods, left)
  runs = _runs(root / "runs", kept, left)
  answers = {
    use: _answers(root / "responses" / use, kept, left) for use in USES
  }
  base = answers[TUNED].pop(BASE, None)
  outcomes = [*_tuned(runs, answers[TUNED], kept)]
  outcomes += _in_context(answers[IN_CONTEXT], kept)
  if not outcomes:
    reasons = "".join(f"\n  {e.directory}: {e.reason}" for e in left[:10])
    raise EvaluationError(
      f"{root}: no finished run and no responses to compare{reasons}"
    )
  values = dict(base or {})
  values |= _before(runs)
  return Found(
    sorted(outcomes, key=lambda each: (each.use, each.key)),
    sorted(kept.values(), key=lambda each: each.key),
    values,
    sorted(left),
  )


def _runs(
  directory: pathlib.Path, kept: Mapping[str, Kept], left: list[LeftOut]
) -> dict[str, tuple[dict, dict[str, measures.Measure]]]:
  """Name -> run.json, and what was measured along the way."""
  found = {}
  for path in kept_sets.folders(directory):
    try:
      found[path.name] = _run(path, kept)
    except EvaluationError as error:
      left.append(LeftOut(str(path), str(error)))
  alike = collections.Counter(_comparable(facts) for facts, _ in found.values())
  most = max(alike, key=alike.__getitem__, default=None)
  for name in [
    n for n, (facts, _) in found.items() if _comparable(facts) != most
  ]:
    words = (
      "tuned from another base, or with another network, test set, template or "
      "batch size than most of the others (compared_by, initial_checkpoint and "
      "batch_size of run.json)"
    )
    left.append(LeftOut(str(directory / name), words))
    del found[name]
  return found


def _run(
  path: pathlib.Path, kept: Mapping[str, Kept]
) -> tuple[dict, dict[str, measures.Measure]]:
  facts = run_fields.parse(
    run_fields.read_bytes(path / "run.json"), where=str(path / "run.json")
  )
  if facts.get("complete") is not True:
    raise EvaluationError(f"{path}: unfinished; {_AGAIN}")
  for field in ("steps", "batch_size"):
    run_fields.whole(facts, field, str(path / "run.json"))
  run_fields.real(facts, "training_seconds", path / "run.json")
  if path.name not in kept:
    raise EvaluationError(
      f"{path}: its selection is not there, left out, or of another method"
    )
  measured = measures.read(path, steps=facts["steps"])
  for name, measure in measured.items():
    last = int(measure.curve.steps[-1])
    if name in METRICS and last != facts["steps"]:
      raise EvaluationError(
        f"{path}: {name} ends at step {last} of {facts['steps']}; {_AGAIN}"
      )
  return facts, measured


def _comparable(facts: Mapping[str, Any]) -> str:
  fields = "compared_by", "initial_checkpoint", "batch_size"
  return json.dumps([facts.get(name) for name in fields], sort_keys=True)


def _answers(
  directory: pathlib.Path, kept: Mapping[str, Kept], left: list[LeftOut]
) -> dict[str, dict[str, float]]:
  """Name -> metric -> value; the base's under its own name."""
  found, tests = {}, {}
  for path in kept_sets.folders(directory):
    try:
      if path.name != BASE and path.name not in kept:
        raise EvaluationError(
          f"{path}: its selection is not there, left out, or of another method"
        )
      found[path.name], tests[path.name] = _responses(path)
    except EvaluationError as error:
      left.append(LeftOut(str(path), str(error)))
  alike = collections.Counter(tests.values())
  most = max(alike, key=alike.__getitem__, default=None)
  for name in [name for name, test in tests.items() if test != most]:
    words = "asked of another test set, or otherwise, than most of the others"
    left.append(LeftOut(str(directory / name), words))
    del found[name]
  return found


def _responses(path: pathlib.Path) -> tuple[dict[str, float], str]:
  where = path / _RESPONSES
  if not where.exists():
    raise EvaluationError(f"{path}: unfinished; {_AGAIN}")
  table = run_fields.parse(run_fields.read_bytes(where), where=str(where))
  try:
    overall, asked = table["overall"], list(table["metrics"])
    values = {name: overall[name]["value"] for name in asked}
    test = json.dumps([table["records"], sorted(asked), _asked(path)])
    # What could not be measured makes a mean unknown; left out, the other
    # seeds would stand for it.
    found = {n: math.nan if v is None else v for n, v in values.items()}
    return {n: float(v) for n, v in found.items()}, test
  except (KeyError, TypeError, ValueError) as error:
    raise EvaluationError(
      f"{where}: damaged, or not of the verb `respond` ({error!r}): remove the "
      "directory and run the same command again"
    ) from None


def _asked(path: pathlib.Path) -> Any:
  """What responses must share to be compared."""
  manifest = path / "parts" / "manifest.json"
  if not manifest.exists():
    return None
  try:
    identity = json.loads(manifest.read_bytes())["identity"]
    fields = ("test", "template", "separator")
    return {name: identity.get(name) for name in fields}
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise EvaluationError(f"{manifest}: damaged: {error!r}") from None


def _tuned(
  runs: Mapping[str, tuple[dict, dict]],
  answers: Mapping[str, dict[str, float]],
  kept: Mapping[str, Kept],
) -> Iterator[Outcome]:
  for name, (facts, measured) in runs.items():
    along = {
      metric: float(measure.curve.losses[-1])
      for metric, measure in measured.items()
      if metric in METRICS
    }
    key = kept[name].key
    values = {**along, **answers.get(name, {})}
    yield Outcome(TUNED, key, str(key.seed), values, facts)


def _in_context(
  answers: Mapping[str, dict[str, float]], kept: Mapping[str, Kept]
) -> Iterator[Outcome]:
  for name, values in answers.items():
    if name != BASE:
      made = kept[name]
      yield Outcome(IN_CONTEXT, made.key, made.fingerprint, values, {})


def _before(runs: Mapping[str, tuple[dict, dict]]) -> dict[str, float]:
  """What the base had before the first step of training."""
  for _, measured in runs.values():
    return {
      metric: float(measure.curve.losses[0])
      for metric, measure in measured.items()
      if metric in METRICS and int(measure.curve.steps[0]) == 0
    }
  return {}
