# SPDX-License-Identifier: Apache-2.0
"""`results.json` of a comparison of instructions, recomputed from files.

    {"kind": "tuning",
     "metrics": {metric: "lower" or "higher", whichever is better},
     "main": the metric that leads the report,
     "base": {metric: value}, of the model before anything was done to it,
     "rows": [{"use": "tuned" or "in_context", "method", "budget", "seeds",
       "kept_records", "kept_tokens", "steps", "epochs", "training_seconds",
       "metrics": {metric: {"mean", "std", "n", "interval"}},
       "against_random": {metric: {"mean", "std", "n", "seeds", "interval",
         "verdict": "better", "worse" or "undecided"}}, "against_full"}],
     "outcomes": [{"use", "method", "budget", "seed", "values"}],
     "cost": {method: {"stages": {stage: seconds}, "selecting", "total"}},
     "stages": {stage: seconds}, each once,
     "selected": {"pool": {"records", "tokens", "record_tokens",
       "median_tokens", "duplicates", "tasks": {task: share}}, "tasks": how
       many, "rows": [the same by method and budget], "overlap": [{"budget",
       "methods", "jaccard"}]},
     "same_task": of `same_task.of`, or null,
     "helped": [{"target": record, "by": [record with "utility"]}], a record
       being {"task", "prompt", "response", "chosen_by": [method]},
     "facts": {…}, "left_out": [{"directory", "reason"}], "command", "commit"}

Losses are in nats a token, seconds are wall clock; budgets are fractions of
the pool. What does not exist (no second seed, not known) is null, never NaN.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from data_efficient.evaluation import comparison
from data_efficient.evaluation.tuning import rows as rows_of
from data_efficient.evaluation.tuning.metrics import METRICS
from data_efficient.evaluation.tuning.outcomes import Found

KIND = "tuning"


def assemble(
  found: Found,
  *,
  stages: Mapping[str, Mapping[str, float | None]],
  selecting: Mapping[str, float | None],
  selected: Mapping[str, Any],
  same_task: Mapping[str, Any] | None,
  helped: Sequence[Mapping[str, Any]],
  facts: Mapping[str, Any],
  command: str,
  commit: str,
) -> dict[str, Any]:
  """Everything that results.json holds.

  Args:
    found: the experiment.
    stages: method -> stage -> seconds; None where nobody measured.
    selecting: method -> mean seconds of the verb `select`.
    selected: of `selected.describe`.
    same_task: of `same_task.of`; None: not known.
    helped: records, and what helps them most.
    facts: of pool, test and base, for the last section.
    command: what reproduces it.
    commit: of the code.
  """
  measured = rows_of.metrics(found.outcomes)
  return {
    "kind": KIND,
    "metrics": {name: METRICS[name].better.value for name in measured},
    "main": measured[0],
    "interval_level": comparison.LEVEL,
    "base": found.base,
    "rows": rows_of.rows(found.outcomes, found.kept),
    "outcomes": [
      {"use": each.use, **each.key._asdict(), "values": each.values}
      for each in found.outcomes
    ],
    "cost": {
      method: _cost(own, selecting.get(method))
      for method, own in stages.items()
    },
    "stages": {
      stage: seconds
      for own in stages.values()
      for stage, seconds in own.items()
    },
    "selected": selected,
    "same_task": same_task,
    "helped": list(helped),
    "facts": facts,
    "left_out": [entry._asdict() for entry in found.left_out],
    "command": command,
    "commit": commit,
  }


def _cost(
  stages: Mapping[str, float | None], selecting: float | None
) -> dict[str, Any]:
  """The sum is not known where one of its parts is not."""
  parts = [*stages.values(), selecting]
  return {
    "stages": dict(stages),
    "selecting": selecting,
    "total": None if None in parts else sum(parts),
  }
