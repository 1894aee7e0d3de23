# SPDX-License-Identifier: Apache-2.0
"""Rubrics as data: what a judge is told, what it looks at, and its scale.

A grading puts a task, a reference and a response before the judge, the two
latter in either order; a comparison two responses, in either order. Each text
is filled in as it is; nothing in it is read as a field.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any


class RubricError(ValueError):
  """A rubric that nobody could grade by."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rubric:
  """How responses are graded.

  Attributes:
    introduction: what the judge is told first.
    task: heading above the task.
    reference: heading above the reference.
    response: heading above the response that is graded.
    criteria: what is looked at, one sentence each.
    scale: answer -> what it stands for; an answer is a number and is worth it.
    question: the end, behind which the answer is the next word.
    responses: headings above two responses that are compared.
    choices: the answers that choose the first and the second of them.
    comparison: the end of a comparison.
  """

  introduction: str
  task: str
  reference: str
  response: str
  criteria: Sequence[str]
  scale: Mapping[str, str]
  question: str
  responses: tuple[str, str]
  choices: tuple[str, str]
  comparison: str

  def __post_init__(self):
    """Raises RubricError for answers that are no scale, or cannot be told."""
    try:
      grades = self.grades
    except ValueError:
      raise RubricError(
        f"scale {list(self.scale)}: expected numbers, such as '1' to '5'"
      ) from None
    if len(set(grades)) < 2:
      raise RubricError(
        f"scale {list(self.scale)}: expected two grades or more"
      )
    if not self.criteria or isinstance(self.criteria, str):
      raise RubricError(f"criteria {self.criteria!r}: expected some, in a list")
    pairs = (self.choices, self.responses)
    if any(len(pair) != 2 or len(set(pair)) != 2 for pair in pairs):
      raise RubricError(
        f"choices {self.choices}, responses {self.responses}: expected two "
        "different ones of each"
      )

  @property
  def grades(self) -> tuple[float, ...]:
    """What each answer of the scale is worth."""
    return tuple(float(answer) for answer in self.scale)

  def grading(
    self, prompt: str, reference: str, response: str, *, reference_first: bool
  ) -> str:
    """The text behind which a grade stands."""
    shown = [(self.reference, reference), (self.response, response)]
    return self._text(
      [(self.task, prompt), *(shown if reference_first else shown[::-1])],
      self._scale(),
      self.question,
    )

  def comparing(self, prompt: str, reference: str, pair: Sequence[str]) -> str:
    """The text behind which a choice between two responses stands."""
    shown = list(zip(self.responses, pair, strict=True))
    parts = [(self.task, prompt), (self.reference, reference), *shown]
    return self._text(parts, "", self.comparison)

  def _text(
    self, parts: Sequence[tuple[str, str]], scale: str, question: str
  ) -> str:
    criteria = "\n".join(f"- {criterion}" for criterion in self.criteria)
    shown = [f"{heading}\n{text}" for heading, text in parts]
    blocks = [self.introduction, *shown, criteria, scale, question]
    return "\n\n".join(block for block in blocks if block)

  def _scale(self) -> str:
    return "\n".join(f"{answer}: {text}" for answer, text in self.scale.items())


def read(path: str) -> Rubric:
  """A rubric from a JSON file with the fields of `Rubric`.

  Raises:
    RubricError: it cannot be read, or has other fields; names them.
  """
  try:
    found: Any = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise RubricError(f"{path}: cannot be read as JSON ({error})") from error
  fields = {field.name for field in dataclasses.fields(Rubric)}
  names = set(found) if isinstance(found, dict) else set()
  if names != fields:
    raise RubricError(
      f"{path}: lacks {sorted(fields - names)}, has {sorted(names - fields)} "
      "beside what a rubric has: see gin/scorers/rubrics/helpful.gin"
    )
  pairs = {name: tuple(found[name]) for name in ("responses", "choices")}
  return Rubric(**found | pairs)
