# SPDX-License-Identifier: Apache-2.0
"""Metrics of downstream tasks: of one prediction, in [0, 1].

Exact match and F1 are those of SQuAD (Rajpurkar et al. 2016, arXiv 1606.05250,
Section 6.1): lower case, without punctuation, articles and repeated blanks.
"""

import collections
import re
import string
from collections.abc import Sequence
from typing import Any

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NUMBER = re.compile(r"-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)")
# Between the steps of a GSM8K answer and its number.
_FINAL = "####"


class SuiteMetricError(ValueError):
  """Answers that no metric can be taken of."""


def exact_match(prediction: str, answers: Sequence[str]) -> float:
  """1 where the prediction is one of the answers, normalised; else 0.

  Raises:
    SuiteMetricError: no answers.
  """
  normal = _normal(prediction)
  return float(any(normal == _normal(a) for a in _some(answers)))


def token_f1(prediction: str, answers: Sequence[str]) -> float:
  """F1 of the words that prediction and answer share; of the best answer.

  0 where they share none, even if normalisation leaves no word of both.

  Raises:
    SuiteMetricError: no answers.
  """
  return max(_f1(prediction, answer) for answer in _some(answers))


def option_match(prediction: str, answers: Sequence[str]) -> float:
  """1 where both are equal but for case, brackets and a full stop; else 0.

  For answers such as "(B)", "B.", "Yes", of which normalised exact match would
  take the option A for an article.

  Raises:
    SuiteMetricError: no answers.
  """

  def bare(text: str) -> str:
    return text.strip().strip("().").strip().casefold()

  return float(any(bare(prediction) == bare(a) for a in _some(answers)))


def number_match(prediction: str, answers: Sequence[str]) -> float:
  """1 where the final number is that of an answer; see `final_number`.

  Raises:
    SuiteMetricError: no answers, or one without a number.
  """
  found = final_number(prediction)
  wanted = [final_number(answer) for answer in _some(answers)]
  if None in wanted:
    raise SuiteMetricError(
      f"the answer {answers[wanted.index(None)][-60:]!r} has no number: choose"
      " another metric for this task"
    )
  return float(found is not None and found in wanted)


def final_number(text: str) -> float | None:
  """The first number after "####", or the last of a text without; else None.

  Commas between digits are those of thousands (Cobbe et al. 2021, arXiv
  2110.14168, for the mark).
  """
  _, mark, marked = text.rpartition(_FINAL)
  found = _NUMBER.findall(marked if mark else text)
  if not found:
    return None
  return float(found[0 if mark else -1].replace(",", ""))


def rouge(
  predictions: Sequence[str],
  answers: Sequence[str],
  *,
  names: Sequence[str] = ("rouge1", "rouge2", "rougeLsum"),
) -> dict[str, list[float]]:
  """F1 of ROUGE-1, ROUGE-2 and ROUGE-L (by sentences), of each prediction.

  By the library rouge-score, as T5 calls it: without a stemmer, and a sentence
  ends at " . " (which is how CNN/DM's texts are tokenized).

  Args:
    predictions: texts.
    answers: one for each.
    names: of the library's variants; T5's by default.

  Raises:
    SuiteMetricError: rouge-score is missing, or as many answers are not there.
  """
  if len(predictions) != len(answers):
    raise SuiteMetricError(
      f"{len(predictions)} predictions, {len(answers)} answers: give one answer"
      " for each"
    )
  scorer = _scorer().RougeScorer(list(names))
  scored = [
    scorer.score(_by_sentence(answer), _by_sentence(prediction))
    for prediction, answer in zip(predictions, answers, strict=True)
  ]
  return {name: [row[name].fmeasure for row in scored] for name in names}


# What a suite may name as its metric.
METRICS = {
  "exact_match": exact_match,
  "token_f1": token_f1,
  "option_match": option_match,
  "number_match": number_match,
}


def _scorer() -> Any:
  try:
    from rouge_score import rouge_scorer
  except ImportError as error:
    raise SuiteMetricError(
      f"ROUGE needs the library rouge-score ({error}): run `make suites`"
    ) from error
  return rouge_scorer


def _by_sentence(text: str) -> str:
  return text.replace(" . ", " .\n")


def _f1(prediction: str, answer: str) -> float:
  found, wanted = _normal(prediction).split(), _normal(answer).split()
  shared = (collections.Counter(found) & collections.Counter(wanted)).total()
  return 2 * shared / (len(found) + len(wanted)) if shared else 0.0


def _normal(text: str) -> str:
  text = text.lower().translate(_PUNCTUATION)
  return " ".join(_ARTICLES.sub(" ", text).split())


def _some(answers: Sequence[str]) -> Sequence[str]:
  if not answers or isinstance(answers, str):
    raise SuiteMetricError(
      f"answers are {answers!r}, expected at least one in a list"
    )
  return answers
