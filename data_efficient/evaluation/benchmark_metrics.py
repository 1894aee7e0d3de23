# SPDX-License-Identifier: Apache-2.0
"""T5's metrics of a task, with 95% intervals over its examples.

T5's metrics are functions of all targets and predictions, in percent. Where
one is a mean over examples (accuracy, SQuAD's, exact match of a group) the
means of bootstrap samples are exact; others (Matthews, F1, correlations) are
computed again for each sample. What is one question (all answers of MultiRC,
the copies of a ReCoRD query) is drawn together.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from data_efficient.evaluation import bootstrap, suite_metrics
from data_efficient.evaluation.suites import Figure, mean_of

Metric = Callable[[list, list], Mapping[str, float]]

# Metrics by what they return, which are means over questions.
_MEANS = ({"accuracy"}, {"em", "f1"}, {"exact_match"})
_ROUGE = {"rouge1", "rouge2", "rougeLsum"}


def figures(
  metrics: Sequence[Metric],
  targets: list[Any],
  predictions: list[Any],
  *,
  resamples: int,
  seed: int,
) -> dict[str, Figure]:
  """Each metric's figure, in [0, 1], a correlation in [-1, 1].

  A correlation with constant predictions has no value; it is 0 here: they
  tell nothing of the targets. ROUGE is the mean over examples; T5's own is the
  median of such means of random samples.

  Args:
    metrics: T5's, of the task.
    targets: as T5's postprocessor leaves them.
    predictions: the same, an item a target.
    resamples: bootstrap samples.
    seed: of these.

  Raises:
    SuiteMetricError: no example, or a task without a metric.
  """
  if not targets or not metrics:
    raise suite_metrics.SuiteMetricError(
      f"{len(targets)} examples, {len(metrics)} metrics: expected at least one"
      " of each; T5 has no metric for GLUE's AX and SuperGLUE's AX-b and AX-g"
    )
  groups = _groups(targets)
  sampling = {"resamples": resamples, "seed": seed}
  found: dict[str, Figure] = {}
  for metric in metrics:
    whole = _value(metric, targets, predictions)
    if set(whole) == _ROUGE:
      values = suite_metrics.rouge(predictions, targets)
      found |= {name: mean_of(v, **sampling) for name, v in values.items()}
    elif set(whole) in _MEANS:
      found |= _means(metric, targets, predictions, groups, sampling)
    else:
      found |= _resampled(metric, targets, predictions, groups, sampling)
  return found


def _groups(targets: Sequence[Any]) -> list[list[int]]:
  """Positions of the examples of each question."""
  found: dict[Hashable, list[int]] = {}
  for number, target in enumerate(targets):
    grouped = isinstance(target, Mapping) and "group" in target
    key = ("group", target["group"]) if grouped else ("alone", number)
    found.setdefault(key, []).append(number)
  return list(found.values())


def _value(
  metric: Metric, targets: list[Any], predictions: list[Any]
) -> dict[str, float]:
  found = metric(targets, predictions)
  return {name: float(np.nan_to_num(v)) / 100 for name, v in found.items()}


def _at(
  metric: Metric, targets: list, predictions: list, numbers: Sequence[int]
) -> dict[str, float]:
  return _value(
    metric, [targets[n] for n in numbers], [predictions[n] for n in numbers]
  )


def _means(
  metric: Metric,
  targets: list,
  predictions: list,
  groups: list[list[int]],
  sampling: dict[str, int],
) -> dict[str, Figure]:
  each = [_at(metric, targets, predictions, group) for group in groups]
  return {
    name: mean_of([row[name] for row in each], **sampling) for name in each[0]
  }


def _resampled(
  metric: Metric,
  targets: list,
  predictions: list,
  groups: list[list[int]],
  sampling: dict[str, int],
) -> dict[str, Figure]:
  random = np.random.default_rng(sampling["seed"])
  rows = []
  for _ in range(sampling["resamples"]):
    chosen = random.integers(len(groups), size=len(groups))
    numbers = [number for group in chosen for number in groups[group]]
    rows.append(_at(metric, targets, predictions, numbers))
  whole = _value(metric, targets, predictions)
  drawn = {name: np.array([row[name] for row in rows]) for name in whole}
  return {
    name: Figure(value, bootstrap.interval(drawn[name]), drawn[name])
    for name, value in whole.items()
  }
