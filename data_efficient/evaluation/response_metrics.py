# SPDX-License-Identifier: Apache-2.0
"""Metrics of responses beside their references: values of each, then figures.

ROUGE-1 and ROUGE-L (F1, by the library rouge-score), the cosine of embeddings,
exact accuracy, and the mean loss of the reference. A response that is empty
counts 0 wherever a higher value is better.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from data_efficient.evaluation import bootstrap, suite_metrics, suites
from data_efficient.scorers import approximations, interface

ROUGE = ("rouge1", "rougeL")
SIMILARITY, EXACT, LOSS = "similarity", "exact", "loss"
# Everything that can be asked for, in the order of tables.
METRICS = (*ROUGE, SIMILARITY, EXACT, LOSS)
# A choice that stands alone: "B", "(B)", "B.".
_CHOICE = re.compile(r"\(?([A-Z])\)?[.:]?")
# The choice that a response begins with, or else says that the answer is.
_FIRST = re.compile(r"\(?([A-Z])(?:[).:,]|\s*$|\s*\n)")
_SAID = re.compile(r"(?i:\banswer\s*(?:is|:)\s*)\(?([A-Z])\b")


class Losses(NamedTuple):
  """Of references that fitted into the window.

  Attributes:
    nats: −log p of each, its end included; NaN for the others.
    tokens: of each, its end included.
  """

  nats: Float64[np.ndarray, " n"]
  tokens: Float64[np.ndarray, " n"]


class ResponseMetricError(ValueError):
  """A metric that does not exist, or lacks what it needs."""


def check(metrics: Sequence[str]) -> None:
  """Refuses what cannot be computed, before anything is decoded.

  Raises:
    ResponseMetricError: no metric, or an unknown one.
    SuiteMetricError: ROUGE is asked for and rouge-score is not installed.
  """
  unknown = sorted(set(metrics) - set(METRICS))
  if unknown or not metrics:
    raise ResponseMetricError(
      f"METRICS = {tuple(metrics)}: expected some of {', '.join(METRICS)}"
    )
  if set(metrics) & set(ROUGE):
    suite_metrics.rouge([], [])


def rouge(
  responses: Sequence[str], references: Sequence[str]
) -> dict[str, Float64[np.ndarray, " n"]]:
  """F1 of words ("rouge1") and of the longest common subsequence ("rougeL")."""
  found = suite_metrics.rouge(responses, references, names=ROUGE)
  return {name: np.array(values) for name, values in found.items()}


def similarity(
  responses: Sequence[str],
  references: Sequence[str],
  embedder: interface.Scorer,
) -> Float32[np.ndarray, " n"]:
  """Cosines of embeddings, in [−1, 1]; 0 where a text has none."""
  first, second = approximations.embedded(embedder, responses, references)
  return (first * second).sum(axis=1)


def exact(
  responses: Sequence[str], references: Sequence[str]
) -> Float64[np.ndarray, " n"]:
  """1 where a response is right, by `kind` of its reference; else 0."""
  return np.array(
    [_right(*pair) for pair in zip(responses, references, strict=True)],
    np.float64,
  )


def kind(reference: str) -> str:
  """How a response is compared with a reference.

  Returns:
    "number": the final number, where GSM8K's mark stands before one; "choice":
    the letter of a multiple-choice answer; "text": normalised exact match.
  """
  if "####" in reference and suite_metrics.final_number(reference) is not None:
    return "number"
  return "choice" if _CHOICE.fullmatch(reference.strip()) else "text"


def choice(text: str) -> str | None:
  """The letter that a response chooses, if it does."""
  found = _FIRST.match(text.strip()) or _SAID.search(text)
  return found[1] if found else None


def _right(response: str, reference: str) -> float:
  how = kind(reference)
  if how == "number":
    return suite_metrics.number_match(response, [reference])
  if how == "choice":
    wanted = _CHOICE.fullmatch(reference.strip())[1]
    return float(choice(response) == wanted)
  return suite_metrics.exact_match(response, [reference])


def figures(
  values: Mapping[str, np.ndarray],
  losses: Losses | None,
  tasks: Sequence[str],
  *,
  resamples: int,
  seed: int,
) -> dict[str, Any]:
  """Means with 95% intervals over records, of all and of each task.

  Args:
    values: metric -> value of each record.
    losses: nats a token are Σ nats / Σ tokens; None: not asked for.
    tasks: of each record.
    resamples: bootstrap samples.
    seed: of these; each task has samples of its own.

  Returns:
    {"overall": {metric: {"value", "interval"}, "records"}, "tasks": {task: the
    same}}.
  """

  def row(name: str, numbers: np.ndarray) -> dict[str, Any]:
    sampling = {
      "resamples": resamples,
      "seed": suites.seed_of(seed, "responses", name),
    }
    found: dict[str, Any] = {"records": len(numbers)}
    for metric, of_each in values.items():
      found[metric] = suites.mean_of(
        of_each[numbers].tolist(), **sampling
      ).row()
    if losses is not None:
      found[LOSS] = _loss(losses, numbers, **sampling)
    return found

  labels = np.array(tasks, object)
  every = np.arange(len(labels))
  return {
    "overall": row("", every),
    "tasks": {
      task: row(task, every[labels == task])
      for task in sorted(set(labels.tolist()))
    },
  }


def _loss(
  losses: Losses, numbers: np.ndarray, *, resamples: int, seed: int
) -> dict[str, Any]:
  nats, tokens = (column[numbers] for column in losses)
  there = np.isfinite(nats)
  if not there.any():
    return {"value": None, "interval": None, "records": 0}
  weights = bootstrap.drawn(int(there.sum()), resamples=resamples, seed=seed)
  found = bootstrap.share(nats[there], tokens[there], weights)
  return {**found, "records": int(there.sum())}
