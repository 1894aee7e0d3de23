# SPDX-License-Identifier: Apache-2.0
"""Few-shot prompts: exemplars before a question, from a split of their own.

Every question of a file belongs to one of three splits. EXEMPLARS are shown
with their answers, VALIDATION chooses a checkpoint, TEST is reported. Which it
is follows from a hash of its group, so that it is the same wherever the file
lies and however often the same question stands in it.
"""

import collections
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from data_efficient.data import records

Task = str

# Of the groups of a file; the others are reported.
_EXEMPLARS, _VALIDATION = 0.1, 0.2
_BETWEEN = "\n\n"


class FewShotError(ValueError):
  """Questions that cannot be asked honestly, or at all."""


class Split(enum.StrEnum):
  """What a question is for."""

  EXEMPLARS = "exemplars"
  VALIDATION = "validation"
  TEST = "test"


# Which split a question belongs to that stands in several.
PRECEDENCE = (Split.EXEMPLARS, Split.TEST, Split.VALIDATION)


class Question(NamedTuple):
  """One question of a task.

  Attributes:
    name: of messages: the record's id, or file and row.
    task: such as a subject of MMLU.
    text: the question as the model reads it, up to where its answer begins.
    shown: its answer as an exemplar shows it, steps included.
    answer: what a prediction is compared with.
    choices: the answers that are possible; empty where it is open.
    group: questions of one group (a paragraph, a title) share a split.
    split: which the file itself says, or None.
  """

  name: str
  task: Task
  text: str
  shown: str
  answer: str
  choices: tuple[str, ...]
  group: str
  split: Split | None = None


class Prompt(NamedTuple):
  """A question behind its exemplars.

  Attributes:
    question: what is asked.
    ids: token ids, at most a window's; None where the question alone is
      longer than that: it is never cut.
    dropped: exemplars that were dropped from the front to make it fit.
    shots: exemplars that are left.
  """

  question: Question
  ids: tuple[int, ...] | None
  dropped: int
  shots: int


def split_of(question: Question) -> Split:
  """The split that the file names, or that of the group's hash."""
  if question.split is not None:
    return question.split
  at = records.fingerprint(question.group) / 2**64
  if at < _EXEMPLARS:
    return Split.EXEMPLARS
  return Split.VALIDATION if at < _EXEMPLARS + _VALIDATION else Split.TEST


def tasks(
  questions: Sequence[Question],
) -> dict[Task, dict[Split, list[Question]]]:
  """Questions by task and split, in their order; equal ones once.

  What is an exemplar is not asked again: some of MMLU's validation questions
  stand in its dev split too. Between the other two splits, equal questions
  are a mistake.

  Raises:
    FewShotError: a question that is both chosen on and reported.
  """
  found: dict[Task, dict[Split, list[Question]]] = {}
  seen: dict[tuple[Task, str], tuple[Split, Question]] = {}
  split_first = [(split_of(question), question) for question in questions]
  # Stable: exemplars first, all else as it stands.
  split_first.sort(key=lambda pair: pair[0] is not Split.EXEMPLARS)
  for split, question in split_first:
    known, other = seen.setdefault(
      (question.task, question.text), (split, question)
    )
    if known is not split and known is not Split.EXEMPLARS:
      raise FewShotError(
        f"{question.name} ({split.value}) asks what {other.name}"
        f" ({known.value}) asks: remove one of them"
      )
    if other is question:
      by_split = found.setdefault(question.task, {each: [] for each in Split})
      by_split[split].append(question)
  return found


def exemplars(
  questions: Mapping[Split, Sequence[Question]], *, shots: int
) -> list[Question]:
  """The first `shots` exemplars of a task; fewer where it has fewer.

  Raises:
    FewShotError: shots are wanted, and the task has none.
  """
  found = list(questions[Split.EXEMPLARS][:shots])
  if shots and not found:
    names = [q.task for each in questions.values() for q in each][:1]
    raise FewShotError(
      f"task {names[0] if names else '?'!r} has no exemplar for {shots} shots:"
      " add records to its file, or set shots = 0"
    )
  return found


def prompt(
  question: Question,
  shown: Sequence[Question],
  *,
  encode: Callable[[str], Sequence[int]],
  window: int,
) -> Prompt:
  """Exemplars and question as token ids, the exemplars as many as fit.

  Args:
    question: what is asked.
    shown: exemplars, in the order in which they are read.
    encode: text to token ids, without marks of its ends.
    window: tokens at most.

  Raises:
    FewShotError: the question is among its exemplars.
  """
  for other in shown:
    if other.text == question.text:
      raise FewShotError(
        f"{question.name} is asked behind itself ({other.name} is among its"
        " exemplars): take exemplars from a split of their own"
      )
  for dropped in range(len(shown) + 1):
    left = [f"{each.text} {each.shown}" for each in shown[dropped:]]
    ids = encode(_BETWEEN.join([*left, question.text]))
    if len(ids) <= window:
      return Prompt(question, tuple(ids), dropped, len(left))
  return Prompt(question, None, len(shown), 0)


def prompts(
  questions: Mapping[Split, Sequence[Question]],
  *,
  split: Split,
  shots: int,
  limit: int | None,
  encode: Callable[[str], Sequence[int]],
  window: int,
) -> list[Prompt]:
  """The prompts of one task.

  Args:
    questions: of the task, by split.
    split: whose questions are asked.
    shots: exemplars before each.
    limit: questions at most, the first ones; None: all.
    encode: text to token ids.
    window: tokens of a prompt at most.

  Raises:
    FewShotError: exemplars are asked, or there are none for the shots.
  """
  if split is Split.EXEMPLARS:
    raise FewShotError(
      "exemplars are shown with their answers and never asked: ask 'validation'"
      " or 'test'"
    )
  shown = exemplars(questions, shots=shots)
  return [
    prompt(question, shown, encode=encode, window=window)
    for question in questions[split][:limit]
  ]


def counts(
  found: Mapping[Task, Mapping[Split, Sequence[Question]]],
) -> dict[str, int]:
  """Questions of a suite by split."""
  total = collections.Counter()
  for by_split in found.values():
    for split, questions in by_split.items():
      total[split.value] += len(questions)
  return dict(total)
