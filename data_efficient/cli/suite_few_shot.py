# SPDX-License-Identifier: Apache-2.0
"""Few-shot suites asked of a checkpoint: prompts in, figures out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import xxhash

from data_efficient.cli import suite_asking
from data_efficient.data import few_shot
from data_efficient.data.downstream import How, Suite
from data_efficient.evaluation import suite_metrics, suites

_ACCURACY = "accuracy"
Questions = Mapping[str, Mapping[few_shot.Split, Sequence[few_shot.Question]]]


class _Answer(NamedTuple):
  """What was answered; `cut`: it has no end within the room that it had."""

  text: str
  cut: bool = False


class Asked:
  """A suite, read once, to be asked of several checkpoints and splits."""

  def __init__(self, suite: Suite):
    """Reads the suite's questions; see `Suite.tasks` for what it raises."""
    self.suite, self._questions = suite, suite.tasks()

  def about(self) -> dict[str, Any]:
    """What suites.json says of the questions."""
    return {
      **few_shot.counts(self._questions),
      "missing": self.suite.missing(self._questions),
    }

  def measured(
    self,
    network: suite_asking.Network,
    checkpoint: str,
    split: few_shot.Split,
    *,
    resamples: int,
    seed: int,
  ) -> list[dict[str, suites.Task]]:
    """Rows of tasks, each by its name.

    Raises:
      FewShotError: see `few_shot.prompts`.
      SuiteError: a task without questions, or a choice that is longer than
        the room for an answer.
    """
    prompts = {
      task: self._prompts(by_split, network, split)
      for task, by_split in self._questions.items()
    }
    flat = [prompt for of_task in prompts.values() for prompt in of_task]
    answers = _answers(self.suite, flat, network, checkpoint, split)
    start, found = 0, {}
    for task, asked in prompts.items():
      own = answers[start : start + len(asked)]
      start += len(asked)
      sampling = {
        "resamples": resamples,
        "seed": suites.seed_of(seed, self.suite.name, task),
      }
      if not asked:
        raise suites.SuiteError(
          f"suite {self.suite.name!r}, task {task!r}: no question of the split"
          f" {str(split)!r}; bring more records, or leave the task out"
        )
      found[task] = _task(self.suite, asked, own, sampling)
    rows = self.suite.rows(self._questions)
    return [{task: found[task] for task in row} for row in rows]

  def _prompts(
    self,
    by_split: Mapping[few_shot.Split, Sequence[few_shot.Question]],
    network: suite_asking.Network,
    split: few_shot.Split,
  ) -> list[few_shot.Prompt]:
    return few_shot.prompts(
      by_split,
      split=split,
      shots=self.suite.shots,
      limit=self.suite.limit,
      encode=network.vocabulary.encode,
      window=network.window,
    )


def metrics(suite: Suite) -> Sequence[str]:
  """Names of a suite's metrics; the first is averaged."""
  return (_ACCURACY,) if suite.how == How.LIKELIHOOD else suite.metrics


def _answers(
  suite: Suite,
  prompts: Sequence[few_shot.Prompt],
  network: suite_asking.Network,
  checkpoint: str,
  split: few_shot.Split,
) -> list[_Answer | None]:
  """An answer for each prompt; None for those longer than the window."""
  if all(prompt.ids is None for prompt in prompts):
    return [None] * len(prompts)
  name = f"{suite.name}_{split}_{_content(prompts)}"
  if suite.how == How.LIKELIHOOD:
    _check_room(suite, prompts, network)
    found = _chosen(name, prompts, network, checkpoint)
  else:
    found = _generated(name, prompts, network, checkpoint)
  return [found.get(number) for number in range(len(prompts))]


def _chosen(
  name: str,
  prompts: Sequence[few_shot.Prompt],
  network: suite_asking.Network,
  checkpoint: str,
) -> dict[int, _Answer]:
  """Of each prompt the choice of the highest log-likelihood, the first one."""
  from data_efficient.data import downstream_tasks

  task = downstream_tasks.register(
    prompts,
    vocabulary=network.vocabulary,
    choices=True,
    begin_ids=network.begin_ids,
  )
  columns = (downstream_tasks.QUESTION, downstream_tasks.CHOICE)
  best: dict[int, dict] = {}
  for row in network.scores(name, task, checkpoint, columns):
    known = best.setdefault(row["question"], row)
    if row["score"] > known["score"]:
      best[row["question"]] = row
  return {
    number: _Answer(prompts[number].question.choices[row["choice"]])
    for number, row in best.items()
  }


def _generated(
  name: str,
  prompts: Sequence[few_shot.Prompt],
  network: suite_asking.Network,
  checkpoint: str,
) -> dict[int, _Answer]:
  from data_efficient.data import downstream_tasks

  task = downstream_tasks.register(
    prompts,
    vocabulary=network.vocabulary,
    choices=False,
    begin_ids=network.begin_ids,
  )
  columns = (downstream_tasks.QUESTION,)
  return {
    row["question"]: _Answer(row["prediction"], network.cut(row))
    for row in network.predictions(name, task, checkpoint, columns)
  }


def _content(prompts: Sequence[few_shot.Prompt]) -> str:
  """xxh3_64, in hex, of what is asked and what may be answered."""
  digest = xxhash.xxh3_64()
  for prompt in prompts:
    question = prompt.question
    asked = (prompt.ids, question.choices or question.shown)
    digest.update(repr(asked).encode())
  return digest.hexdigest()


def _check_room(
  suite: Suite,
  prompts: Sequence[few_shot.Prompt],
  network: suite_asking.Network,
) -> None:
  """A choice that is cut would be compared by the likelihood of its head."""
  room = network.lengths["targets"]
  for choice in {c for prompt in prompts for c in prompt.question.choices}:
    tokens = len(network.vocabulary.encode(choice)) + 1
    if tokens > room:
      raise suites.SuiteError(
        f"suite {suite.name!r}: the choice {choice[:60]!r} has {tokens} tokens"
        f" with its end, but there is room for {room}: raise TARGETS"
      )


def _task(
  suite: Suite,
  prompts: Sequence[few_shot.Prompt],
  answers: Sequence[_Answer | None],
  sampling: dict[str, int],
) -> suites.Task:
  figures = {}
  for metric in metrics(suite):
    values = [
      _value(metric, answer, prompt.question.answer)
      for prompt, answer in zip(prompts, answers, strict=True)
    ]
    figures[metric] = suites.mean_of(values, **sampling)
  counts = {
    "questions": len(prompts),
    "shots": max(prompt.shots + prompt.dropped for prompt in prompts),
    "truncated": sum(prompt.dropped > 0 for prompt in prompts),
    "too_long": sum(prompt.ids is None for prompt in prompts),
    "cut": sum(answer is not None and answer.cut for answer in answers),
  }
  return suites.Task(figures, figures[metrics(suite)[0]], counts)


def _value(metric: str, answer: _Answer | None, wanted: str) -> float:
  """0 for a question that was longer than the window."""
  if answer is None:
    return 0.0
  if metric == _ACCURACY:
    return float(answer.text == wanted)
  return suite_metrics.METRICS[metric](answer.text, [wanted])
