# SPDX-License-Identifier: Apache-2.0
"""How far hostile documents move a judge, and what defences cost: figures."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_efficient.evaluation import separation

_DIGITS = 4


class Answers(NamedTuple):
  """What a judge said under one defence; NaN where it said nothing.

  Attributes:
    clean: log P(yes) of the documents, [documents].
    attacked: of the same with each attack in them, [attacks, documents].
    labelled: set to log P(yes) of its texts, [texts].
  """

  clean: np.ndarray
  attacked: np.ndarray
  labelled: Mapping[str, np.ndarray]

  def rises(self) -> np.ndarray:
    """log P(yes) with an attack, less without: [attacks, documents]."""
    return self.attacked - self.clean


def figures(
  answers: Answers,
  undefended: Answers,
  *,
  payloads: Sequence[str],
  places: Sequence[str],
  labels: Mapping[str, np.ndarray],
  resamples: int,
  seed: int,
) -> dict[str, Any]:
  """The figures of one defence, JSON-able.

  Args:
    answers: under this defence.
    undefended: under none, on the same texts.
    payloads: of each attack.
    places: likewise.
    labels: set to bool [texts], whether a text is a good one.
    resamples: bootstrap samples of a labelled set.
    seed: of the bootstrap.
  """
  rises, before = answers.rises(), undefended.rises()
  return {
    "all": spread(rises),
    # What is left to an author who takes what works.
    "where_it_rose": spread(rises[before > 0]),
    "best_attack": spread(_best(rises)),
    "places": _by(places, rises),
    "auc": {
      name: auc(
        scores,
        undefended.labelled[name],
        labels[name],
        resamples=resamples,
        seed=seed,
      )
      for name, scores in answers.labelled.items()
    },
    "payloads": _by(payloads, rises),
  }


def spread(values: np.ndarray) -> dict[str, Any]:
  """Number, median, quartiles and share above 0 of what is not NaN."""
  values = values[~np.isnan(values)]
  if not len(values):
    return {"n": 0}
  low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
  return {
    "n": len(values),
    "median": _rounded(median),
    "quartiles": [_rounded(low), _rounded(high)],
    "rises": _rounded(np.mean(values > 0)),
  }


def auc(
  scores: np.ndarray,
  undefended: np.ndarray,
  good: np.ndarray,
  *,
  resamples: int,
  seed: int,
) -> dict[str, Any]:
  """AUC of a labelled set and its change, with 95% bootstrap intervals.

  The change is of the same resampled texts with and without a defence. Texts
  are resampled within the good and within the others.
  """
  generator = np.random.default_rng(seed)
  groups = np.flatnonzero(good), np.flatnonzero(~good)
  samples = []
  for _ in range(resamples):
    rows = [generator.choice(group, len(group)) for group in groups]
    samples.append([_auc(scores, rows), _auc(undefended, rows)])
  found, before = np.array(samples).T
  value = _auc(scores, groups)
  return {
    "n": len(good),
    "auc": _rounded(value),
    "interval": _interval(found),
    "change": _rounded(value - _auc(undefended, groups)),
    "change_interval": _interval(found - before),
  }


def _auc(scores: np.ndarray, rows: Sequence[np.ndarray]) -> float:
  found = separation.auc([scores[rows[0]]], [scores[rows[1]]])
  return np.nan if found is None else found


def _best(rises: np.ndarray) -> np.ndarray:
  """The highest rise of each document; NaN where there is none."""
  best = np.where(np.isnan(rises), -np.inf, rises).max(axis=0)
  return np.where(np.isneginf(best), np.nan, best)


def _by(names: Sequence[str], rises: np.ndarray) -> dict[str, dict]:
  names = np.array(names)
  return {
    name: spread(rises[names == name]) for name in dict.fromkeys(names.tolist())
  }


def _interval(values: np.ndarray) -> list[float]:
  return [_rounded(value) for value in np.quantile(values, (0.025, 0.975))]


def _rounded(value: float) -> float:
  return round(float(value), _DIGITS)
