# SPDX-License-Identifier: Apache-2.0
"""The verb `suite`: tasks asked of checkpoints, to suites.json."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from data_efficient import processes
from data_efficient.cli import (
  cost,
  suite_asking,
  suite_benchmark,
  suite_few_shot,
  train,
)
from data_efficient.data import artifacts, benchmarks, downstream, locks
from data_efficient.data.downstream import How
from data_efficient.data.few_shot import Split
from data_efficient.evaluation import suite_metrics
from data_efficient.evaluation import suites as tables
from data_efficient.models import networks, tokenizers

FILE = "suites.json"
_CONFIG = "config.gin"

AnySuite = downstream.Suite | benchmarks.Benchmark


def suite(
  *,
  directory: str,
  suites: Sequence[AnySuite],
  checkpoints: Sequence[str],
  network: networks.Network,
  vocabulary: tokenizers.Tokenizer,
  engine: Any,
  task_feature_lengths: Mapping[str, int],
  batch_size: int,
  chosen_on: str,
  reported_on: str,
  resamples: int,
  seed: int,
) -> None:
  """Chooses a checkpoint on one split, reports it on another.

  The checkpoint of the highest average is chosen: of the paper's Average
  where all of its four categories are asked, else of all categories. A single
  one is reported without a choice. Leaves config.gin, suites.json and the
  inferences of every suite. Does nothing when it is done.

  Args:
    directory: where the results go.
    suites: what is asked.
    checkpoints: in any format of `checkpoints.load_parameters`.
    network: of all checkpoints.
    vocabulary: of the network.
    engine: what scores and predicts; see `training.inference.Engine`.
    task_feature_lengths: {"inputs": tokens of a prompt, "targets": tokens of
      an answer, and of what is decoded}; of a decoder, whose row holds both,
      "inputs" is the row.
    batch_size: examples at a time.
    chosen_on: split that chooses, of `few_shot.Split`.
    reported_on: split that is reported.
    resamples: bootstrap samples.
    seed: of these.

  Raises:
    ValueError: see `SuiteError`, `FewShotError`, `SuiteMetricError`,
      `T5TasksError`.
    ArtifactError: the directory holds results of another configuration, or of
      a checkpoint that has changed since.
  """
  tables.check_splits(chosen_on=chosen_on, reported_on=reported_on)
  _check(suites, checkpoints)
  processes.join()
  root = pathlib.Path(directory)
  asking = suite_asking.Network(
    directory=root / "asked",
    network=network,
    vocabulary=vocabulary,
    engine=engine,
    lengths=dict(task_feature_lengths),
    batch_size=batch_size,
  )
  evaluation = _Evaluation(
    asking=asking,
    suites=suites,
    checkpoints=checkpoints,
    chosen_on=Split(chosen_on),
    reported_on=Split(reported_on),
    sampling={"resamples": resamples, "seed": seed},
  )
  if processes.is_first():
    _keep(root, evaluation)
  elif not (root / FILE).exists():
    evaluation.report()


def _keep(root: pathlib.Path, evaluation: "_Evaluation") -> None:
  root.mkdir(parents=True, exist_ok=True)
  with locks.exclusive(root):
    train.keep_config(root / _CONFIG)
    if (root / FILE).exists():
      _check_unchanged(root / FILE)
      print(f"{root}: done before")
      return
    with cost.measured(root):
      found = evaluation.report()
    data = json.dumps(found, indent=1, ensure_ascii=False).encode()
    artifacts.atomic_write(root / FILE, data)
  for name, row in found["results"]["averages"].items():
    print(f"{name}: {row['value']:.4f}")
  print(root / FILE)


def _check_unchanged(path: pathlib.Path) -> None:
  """Refuses results of checkpoints that are others now; gone is no matter."""
  for name, kept in json.loads(path.read_bytes())["checkpoints"].items():
    if pathlib.Path(name).is_dir() and suite_asking.identity(name) != kept:
      raise artifacts.ArtifactError(
        f"{path}: of the checkpoint {name}, which has changed since: name"
        " another OUTPUT, or remove this directory"
      )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Evaluation:
  """What is asked of which checkpoints; see `suite`."""

  asking: suite_asking.Network
  suites: Sequence[AnySuite]
  checkpoints: Sequence[str]
  chosen_on: Split
  reported_on: Split
  sampling: Mapping[str, int]

  def report(self) -> dict[str, Any]:
    """What suites.json holds."""
    asked = [_asked(each) for each in self.suites]
    identities = {
      name: suite_asking.identity(name) for name in self.checkpoints
    }
    several = len(self.checkpoints) > 1
    on = {
      name: self._measured(asked, name, self.chosen_on)
      for name in self.checkpoints
      if several
    }
    chosen, chosen_by = _choice(on) if several else (self.checkpoints[0], None)
    return {
      "checkpoint": chosen,
      "checkpoints": identities,
      "chosen_on": str(self.chosen_on) if several else None,
      "chosen_by": chosen_by,
      "reported_on": str(self.reported_on),
      "validation": {name: row[chosen_by] for name, row in on.items()},
      "questions": {each.suite.name: each.about() for each in asked},
      "results": self._measured(asked, chosen, self.reported_on),
      "commit": cost.commit(),
    }

  def _measured(
    self, asked: Sequence[Any], checkpoint: str, split: Split
  ) -> dict[str, Any]:
    """The table of one checkpoint on one split."""
    found = {
      each.suite.name: each.measured(
        self.asking, checkpoint, split, **self.sampling
      )
      for each in asked
    }
    averaged = {
      name: [[task.averaged for task in row.values()] for row in rows]
      for name, rows in found.items()
    }
    categories = {each.name: each.category for each in self.suites}
    averages = tables.averages(averaged, categories)
    return {
      "tasks": {
        name: {task: t.row() for row in rows for task, t in row.items()}
        for name, rows in found.items()
      },
      "averages": averages.pop("suites"),
      **averages,
    }


def _asked(suite: AnySuite) -> Any:
  if isinstance(suite, benchmarks.Benchmark):
    return suite_benchmark.Asked(suite)
  return suite_few_shot.Asked(suite)


def _choice(on: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
  """The checkpoint of the highest average, and which average that was."""
  by = "of_all" if any(row["missing"] for row in on.values()) else "average"
  return tables.choose({name: row[by]["value"] for name, row in on.items()}), by


def _check(suites: Sequence[AnySuite], checkpoints: Sequence[str]) -> None:
  names = [each.name for each in suites]
  for what, given in (("suites", names), ("checkpoints", checkpoints)):
    if not given or isinstance(given, str) or len(set(given)) < len(given):
      raise tables.SuiteError(
        f"{what} are {given!r}, expected a list of at least one, each once"
      )
  for each in suites:
    if isinstance(each, downstream.Suite) and each.how == How.GENERATION:
      _check_metrics(each)


def _check_metrics(suite: downstream.Suite) -> None:
  known = list(suite_metrics.METRICS)
  if not suite.metrics or set(suite.metrics) - set(known):
    raise tables.SuiteError(
      f"suite {suite.name!r}: metrics are {list(suite.metrics)}, expected some"
      f" of {', '.join(known)}"
    )
