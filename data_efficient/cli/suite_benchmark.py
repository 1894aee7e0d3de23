# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of T5's tasks asked of a checkpoint: predictions to figures."""

from typing import Any

from data_efficient.cli import suite_asking
from data_efficient.data.benchmarks import Benchmark
from data_efficient.data.few_shot import Split
from data_efficient.evaluation import benchmark_metrics, suites


class Asked:
  """A benchmark, to be asked of several checkpoints and splits."""

  def __init__(self, suite: Benchmark):
    """Reads nothing yet."""
    self.suite = suite

  def about(self) -> dict[str, Any]:
    """What suites.json says of the questions."""
    return {"splits": dict(self.suite.splits)}

  def measured(
    self,
    network: suite_asking.Network,
    checkpoint: str,
    split: Split,
    *,
    resamples: int,
    seed: int,
  ) -> list[dict[str, suites.Task]]:
    """Rows of tasks, each by T5's name.

    Raises:
      T5TasksError: T5 has no such task, or t5 is not installed.
      SuiteMetricError: a task without a metric.
      SuiteError: a metric to be averaged that the task has not.
    """

    def measured(name: str) -> suites.Task:
      own = suites.seed_of(seed, self.suite.name, name)
      sampling = {"resamples": resamples, "seed": own}
      return self._task(name, network, checkpoint, split, sampling)

    rows = self.suite.rows(split)
    return [{name: measured(name) for name in row} for row in rows]

  def _task(
    self,
    name: str,
    network: suite_asking.Network,
    checkpoint: str,
    split: Split,
    sampling: dict[str, int],
  ) -> suites.Task:
    from data_efficient.data import t5_tasks

    read = self.suite.splits[split]
    task = t5_tasks.task(
      name,
      split=read,
      vocabulary=network.vocabulary,
      data_dir=self.suite.data_dir,
    )
    rows = network.predictions(f"{name}_{read}", task, checkpoint, ())
    found = t5_tasks.answers(
      task,
      [row["prediction"] for row in rows],
      window=network.lengths["inputs"],
    )
    figures = benchmark_metrics.figures(
      found.metrics,
      found.targets,
      found.predictions,
      **sampling,
    )
    counts = {
      "questions": len(rows),
      "truncated": found.truncated,
      "cut": sum(network.cut(row) for row in rows),
    }
    return suites.Task(figures, self._averaged(name, figures), counts)

  def _averaged(
    self, name: str, figures: dict[str, suites.Figure]
  ) -> suites.Figure:
    wanted = list(self.suite.averaged or figures)
    if missing := sorted(set(wanted) - set(figures)):
      raise suites.SuiteError(
        f"{self.suite.name!r}: {missing} are to be averaged, but {name} has"
        f" {sorted(figures)}"
      )
    return suites.macro([figures[metric] for metric in wanted])
