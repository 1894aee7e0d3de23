# SPDX-License-Identifier: Apache-2.0
"""The verb `suite`: few-shot tasks asked of checkpoints, to suites.json."""

import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from data_efficient import processes
from data_efficient.cli import cost, train
from data_efficient.data import artifacts, few_shot, locks, records
from data_efficient.data.downstream import How, Suite
from data_efficient.evaluation import suite_metrics
from data_efficient.evaluation import suites as tables
from data_efficient.models import networks, tokenizers

FILE = "suites.json"
_CONFIG = "config.gin"
_ACCURACY = "accuracy"


def suite(
  *,
  directory: str,
  suites: Sequence[Suite],
  checkpoints: Sequence[str],
  network: networks.Network,
  vocabulary: tokenizers.SentencePiece,
  engine: Any,
  task_feature_lengths: Mapping[str, int],
  batch_size: int,
  chosen_on: str,
  reported_on: str,
  resamples: int,
  seed: int,
) -> None:
  """Chooses a checkpoint on one split, reports it on another.

  Leaves config.gin, suites.json and the inferences of every suite. A single
  checkpoint is reported without a choice. Does nothing when it is done.

  Args:
    directory: where the results go.
    suites: what is asked.
    checkpoints: in any format of `checkpoints.load_parameters`.
    network: of all checkpoints.
    vocabulary: of the network.
    engine: what scores and predicts; see `training.inference.Engine`.
    task_feature_lengths: {"inputs": tokens of a prompt, "targets": tokens of
      an answer, and of what is decoded}.
    batch_size: examples at a time.
    chosen_on: split that chooses, of `few_shot.Split`.
    reported_on: split that is reported.
    resamples: bootstrap samples.
    seed: of these.

  Raises:
    ValueError: see `SuiteError`, `FewShotError`, `SuiteMetricError`.
    ArtifactError: the directory holds results of another configuration.
  """
  tables.check_splits(chosen_on=chosen_on, reported_on=reported_on)
  _check(suites, checkpoints)
  processes.join()
  root = pathlib.Path(directory)
  asked = _Asked(
    root, network, vocabulary, engine, dict(task_feature_lengths), batch_size
  )
  sampling = {"resamples": resamples, "seed": seed}
  questions = {each.name: each.tasks() for each in suites}

  def measured(checkpoint: str, split: str) -> dict[str, Any]:
    found = {
      each.name: asked.suite(each, questions[each.name], checkpoint, split)
      for each in suites
    }
    return _table(suites, found, sampling)

  def report() -> dict[str, Any]:
    on = {}
    if len(checkpoints) > 1:
      on = {name: measured(name, chosen_on) for name in checkpoints}
    chosen = checkpoints[0]
    if on:
      of_all = {name: row["of_all"]["value"] for name, row in on.items()}
      chosen = tables.choose(of_all)
    return {
      "checkpoint": chosen,
      "chosen_on": chosen_on if on else None,
      "reported_on": reported_on,
      "validation": {name: row["of_all"] for name, row in on.items()},
      "questions": {n: few_shot.counts(q) for n, q in questions.items()},
      "results": measured(chosen, reported_on),
      "commit": cost.commit(),
    }

  if not processes.is_first():
    if not (root / FILE).exists():
      report()
    return
  root.mkdir(parents=True, exist_ok=True)
  with locks.exclusive(root):
    train.keep_config(root / _CONFIG)
    if (root / FILE).exists():
      print(f"{root}: done before")
      return
    with cost.measured(root):
      found = report()
    data = json.dumps(found, indent=1, ensure_ascii=False).encode()
    artifacts.atomic_write(root / FILE, data)
  for name, row in found["results"]["averages"].items():
    print(f"{name}: {row['value']:.4f}")
  print(root / FILE)


class _Asked:
  """A network that answers suites."""

  def __init__(self, root, network, vocabulary, engine, lengths, batch_size):
    self._root, self._engine, self._lengths = root, engine, lengths
    self._network, self._vocabulary = network, vocabulary
    self._batch_size = batch_size

  def suite(
    self, suite: Suite, questions: Mapping, checkpoint: str, split: str
  ) -> dict[str, Any]:
    """{task: {"prompts", "values": metric -> of each question}}."""
    prompts = [
      prompt
      for by_split in questions.values()
      for prompt in few_shot.prompts(
        by_split,
        split=few_shot.Split(split),
        shots=suite.shots,
        limit=suite.limit,
        encode=self._vocabulary.encode,
        window=self._lengths["inputs"],
      )
    ]
    likelihood = suite.how == How.LIKELIHOOD
    answers = self._answers(suite.name, prompts, checkpoint, split, likelihood)
    found: dict[str, Any] = {}
    for number, prompt in enumerate(prompts):
      row = found.setdefault(
        prompt.question.task, {"prompts": [], "values": {}}
      )
      row["prompts"].append(prompt)
      answer = answers.get(number)
      for metric in _metrics(suite):
        value = _value(metric, answer, prompt.question.answer)
        row["values"].setdefault(metric, []).append(value)
    return found

  def _answers(self, name, prompts, checkpoint, split, likelihood):
    from data_efficient.data import downstream_tasks
    from data_efficient.training import inference

    if all(prompt.ids is None for prompt in prompts):
      return {}
    mode = inference.Mode.SCORE if likelihood else inference.Mode.PREDICT
    kept = f"{name}_{split}_{records.fingerprint(checkpoint):016x}"
    asked = inference.Inference(
      directory=str(self._root / "asked" / re.sub(r"[^\w.-]+", "_", kept)),
      network=self._network,
      checkpoint=checkpoint,
      task=downstream_tasks.register(
        prompts, vocabulary=self._vocabulary, choices=likelihood
      ),
      task_feature_lengths=self._lengths,
      batch_size=self._batch_size,
      mode=mode,
      columns=(downstream_tasks.QUESTION, downstream_tasks.CHOICE),
    )
    if not pathlib.Path(asked.directory, inference.FILE).exists():
      self._engine.infer(asked)
    processes.wait(f"{kept} asked")
    rows = inference.read(asked.directory)
    if not likelihood:
      return {row["question"]: row["prediction"] for row in rows}
    best: dict[int, dict] = {}
    for row in rows:
      known = best.setdefault(row["question"], row)
      if row["score"] > known["score"]:
        best[row["question"]] = row
    return {
      number: prompts[number].question.choices[row["choice"]]
      for number, row in best.items()
    }


def _metrics(suite: Suite) -> Sequence[str]:
  return (_ACCURACY,) if suite.how == How.LIKELIHOOD else suite.metrics


def _value(metric: str, answer: str | None, wanted: str) -> float:
  """0 for a question that was longer than the window."""
  if answer is None:
    return 0.0
  if metric == _ACCURACY:
    return float(answer == wanted)
  return suite_metrics.METRICS[metric](answer, [wanted])


def _table(
  suites: Sequence[Suite], found: Mapping[str, Any], sampling: dict[str, int]
) -> dict[str, Any]:
  first = {
    each.name: {
      task: row["values"][_metrics(each)[0]]
      for task, row in found[each.name].items()
    }
    for each in suites
  }
  categories = {each.name: each.category for each in suites}
  averages = tables.averages(first, categories, **sampling)
  return {
    "tasks": {
      name: {task: _task(row, sampling) for task, row in rows.items()}
      for name, rows in found.items()
    },
    "averages": averages["suites"],
    **{name: averages[name] for name in averages if name != "suites"},
  }


def _task(row: dict[str, Any], sampling: dict[str, int]) -> dict[str, Any]:
  prompts = row["prompts"]
  return {
    **tables.task_row(row["values"], **sampling),
    "questions": len(prompts),
    "shots": max(prompt.shots + prompt.dropped for prompt in prompts),
    "truncated": sum(prompt.dropped > 0 for prompt in prompts),
    "too_long": sum(prompt.ids is None for prompt in prompts),
  }


def _check(suites: Sequence[Suite], checkpoints: Sequence[str]) -> None:
  names = [each.name for each in suites]
  for what, given in (("suites", names), ("checkpoints", checkpoints)):
    if not given or isinstance(given, str) or len(set(given)) < len(given):
      raise tables.SuiteError(
        f"{what} are {given!r}, expected a list of at least one, each once"
      )
  for each in suites:
    known = [*suite_metrics.METRICS]
    if each.how == How.GENERATION and (
      not each.metrics or set(each.metrics) - set(known)
    ):
      raise tables.SuiteError(
        f"suite {each.name!r}: metrics are {list(each.metrics)}, expected some"
        f" of {', '.join(known)}"
      )
