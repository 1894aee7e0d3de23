# SPDX-License-Identifier: Apache-2.0
"""T5's metrics, as they are reported here, against independent ones."""

import random

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from rouge_score import rouge_scorer

from data_efficient.evaluation import benchmark_metrics, suite_metrics

glue_utils = pytest.importorskip(
  "t5.data.glue_utils", reason="t5 is not installed: run `make suites`"
)
metrics = pytest.importorskip(
  "t5.evaluation.metrics", reason="t5 is not installed: run `make suites`"
)
SAMPLING = {"resamples": 50, "seed": 0}
GLUE = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte")


def _figures(fns, targets, predictions, **sampling):
  found = benchmark_metrics.figures(
    fns, list(targets), list(predictions), **SAMPLING | sampling
  )
  return {name: figure.value for name, figure in found.items()}


def _labels(count, classes, seed, wrong=0.3):
  """Targets, and predictions of which some are other or invalid (-1)."""
  chooser = random.Random(seed)
  targets = [chooser.randrange(classes) for _ in range(count)]
  predictions = [
    chooser.randrange(-1, classes) if chooser.random() < wrong else target
    for target in targets
  ]
  return targets, predictions


def _f1(targets, predictions):
  """Of class 1; an invalid prediction is the wrong one of two."""
  pairs = [
    (t, p if p in (0, 1) else 1 - t)
    for t, p in zip(targets, predictions, strict=True)
  ]
  right = sum(t == p == 1 for t, p in pairs)
  other = sum(t != p for t, p in pairs)
  return right / (right + other / 2) if right else 0.0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [n for n in GLUE if n != "stsb"])
def test_classes_of_glue(name, seed):
  targets, predictions = _labels(60, 3 if name == "mnli" else 2, seed)
  wanted = {
    "accuracy": sklearn.metrics.accuracy_score(targets, predictions),
    "f1": _f1(targets, predictions),
    "matthews_corrcoef": sklearn.metrics.matthews_corrcoef(
      targets, predictions
    ),
  }
  found = _figures(glue_utils.get_glue_metric(name), targets, predictions)
  assert found
  for metric, value in found.items():
    assert value == pytest.approx(wanted[metric], abs=1e-12), metric


def test_correlations_of_glue():
  generator = np.random.default_rng(0)
  targets = generator.random(40)
  predictions = targets + generator.normal(size=40)
  found = _figures(glue_utils.get_glue_metric("stsb"), targets, predictions)
  theirs = scipy.stats.pearsonr(targets, predictions)[0]
  assert found["pearson_corrcoef"] == pytest.approx(theirs, abs=1e-12)
  ranks = [scipy.stats.rankdata(each) for each in (targets, predictions)]
  spearman = np.corrcoef(*ranks)[0, 1]
  assert found["spearman_corrcoef"] == pytest.approx(spearman, abs=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_constant_predictions_tell_nothing():
  assert _figures(
    glue_utils.get_glue_metric("stsb"), [1.0, 2.0], [-1.0] * 2
  ) == {**{"pearson_corrcoef": 0.0, "spearman_corrcoef": 0.0}}
  targets = [0, 1, 1]
  assert _figures(glue_utils.get_glue_metric("cola"), targets, [1] * 3) == {
    "matthews_corrcoef": 0.0
  }
  found = _figures(glue_utils.get_glue_metric("mrpc"), targets, [-1] * 3)
  assert found == {"f1": 0.0, "accuracy": 0.0}


def test_classes_of_super_glue():
  targets, predictions = _labels(60, 3, 0)
  found = _figures(glue_utils.get_super_glue_metric("cb"), targets, predictions)
  f1 = sklearn.metrics.f1_score(
    targets, predictions, labels=range(3), average="macro"
  )
  assert found == pytest.approx(
    {
      "mean_3class_f1": f1,
      "accuracy": sklearn.metrics.accuracy_score(targets, predictions),
    }
  )
  for name in ("boolq", "copa", "rte", "wic"):
    [accuracy] = _figures(
      glue_utils.get_super_glue_metric(name), targets, predictions
    ).values()
    assert accuracy == found["accuracy"]


def test_answers_of_one_question_count_together():
  targets, predictions = _labels(90, 2, 0)
  groups = [number // 3 for number in range(90)]
  found = _figures(
    glue_utils.get_super_glue_metric("multirc"),
    [{"value": t, "group": g} for t, g in zip(targets, groups, strict=True)],
    [{"value": p} for p in predictions],
  )
  right = np.equal(targets, predictions).reshape(30, 3).all(axis=1)
  assert found["exact_match"] == pytest.approx(right.mean())
  assert found["f1"] == pytest.approx(_f1(targets, predictions))


def test_a_query_of_record_counts_once():
  answers = [["a cat", "cats"], ["dog"], ["a cat", "cats"]]
  targets = [
    {"value": answer, "group": (1, number % 2)}
    for number, answer in enumerate(answers)
  ]
  predictions = [{"value": text} for text in ("the cat", "no dog", "the cat")]
  found = _figures(
    glue_utils.get_super_glue_metric("record"), targets, predictions
  )
  assert found == pytest.approx({"em": 1 / 2, "f1": (1 + 2 / 3) / 2})


WORDS = "the a an cat, sat . on Mat dog! running runs 3,000".split()


def _texts(count, seed):
  chooser = random.Random(seed)
  return [
    " ".join(chooser.choices(WORDS, k=chooser.randint(1, 9)))
    for _ in range(count)
  ]


def test_squad_is_the_mean_of_our_own():
  found, answers = _texts(50, 0), [[t] for t in _texts(50, 1)]
  theirs = _figures([metrics.squad], answers, found)
  for name, metric in (
    ("em", suite_metrics.exact_match),
    ("f1", suite_metrics.token_f1),
  ):
    ours = [metric(f, a) for f, a in zip(found, answers, strict=True)]
    assert theirs[name] == pytest.approx(np.mean(ours))


def test_rouge_is_that_of_its_library_and_near_t5_s():
  found, answers = _texts(80, 0), _texts(80, 1)
  ours = _figures([metrics.rouge], answers, found, resamples=500)
  scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeLsum"])
  rows = [
    scorer.score(a.replace(" . ", " .\n"), f.replace(" . ", " .\n"))
    for a, f in zip(answers, found, strict=True)
  ]
  theirs = metrics.rouge(answers, found)
  for name, value in ours.items():
    each = [row[name].fmeasure for row in rows]
    assert value == pytest.approx(np.mean(each), abs=1e-12)
    # A median of means of samples: within their standard error.
    error = np.std(each) / np.sqrt(len(each))
    assert abs(value - theirs[name] / 100) < error / 2


def test_intervals_are_those_of_resampled_examples():
  targets, predictions = _labels(200, 2, 0)
  found = benchmark_metrics.figures(
    glue_utils.get_glue_metric("mrpc"),
    targets,
    predictions,
    resamples=400,
    seed=0,
  )
  generator = np.random.default_rng(1)
  slow = []
  for _ in range(400):
    rows = generator.integers(200, size=200)
    drawn = [targets[r] for r in rows], [predictions[r] for r in rows]
    slow.append((sklearn.metrics.accuracy_score(*drawn), _f1(*drawn)))
  for name, values in zip(("accuracy", "f1"), np.transpose(slow), strict=True):
    width = np.std(values)
    assert np.std(found[name].drawn) == pytest.approx(width, rel=0.15)
    low, high = found[name].interval
    assert high - low == pytest.approx(2 * 1.96 * width, rel=0.2)


def test_answers_of_one_question_are_drawn_together():
  # Of 30 questions with three answers each, the first ten are answered wrong.
  targets = [number % 2 for number in range(90)]
  predictions = [t ^ (n < 30) for n, t in enumerate(targets)]
  found = benchmark_metrics.figures(
    glue_utils.get_super_glue_metric("multirc"),
    [{"value": t, "group": n // 3} for n, t in enumerate(targets)],
    [{"value": p} for p in predictions],
    resamples=400,
    seed=0,
  )
  generator = np.random.default_rng(1)
  slow = []
  for _ in range(400):
    drawn = generator.integers(30, size=30)
    rows = [3 * question + answer for question in drawn for answer in range(3)]
    slow.append(_f1([targets[r] for r in rows], [predictions[r] for r in rows]))
  assert np.mean(found["f1"].drawn) == pytest.approx(np.mean(slow), abs=0.02)
  assert np.std(found["f1"].drawn) == pytest.approx(np.std(slow), rel=0.15)
  # Drawn one by one they would seem to vary less.
  assert np.std(slow) > 1.4 * np.sqrt(2 / 9 / 90)


def test_a_task_without_a_metric_is_refused():
  sst2 = glue_utils.get_glue_metric("sst2")
  for fns, targets in ((glue_utils.get_glue_metric("ax"), [1]), (sst2, [])):
    with pytest.raises(suite_metrics.SuiteMetricError, match="AX-b and AX-g"):
      _figures(fns, targets, targets)
