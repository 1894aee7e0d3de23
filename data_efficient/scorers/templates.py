# SPDX-License-Identifier: Apache-2.0
"""Templates of pairs: how an example, a query and an answer become text.

  with an example      example(x_j, y_j) · query(x_i) · answer(y_i)
  without one          alone · query_alone(x_i) · answer(y_i)

The parts between the dots are tokenised each by itself and then joined: that
is the definition, so that a target has the same tokens behind every example.
"""

import dataclasses
import string
from typing import NamedTuple

_PROMPT, _RESPONSE = "prompt", "response"
# What may stand in each part: the answer must not be shown before it is asked.
_FIELDS = {
  "example": {_PROMPT, _RESPONSE},
  "query": {_PROMPT},
  "alone": set(),
  "query_alone": {_PROMPT},
  "answer": {_RESPONSE},
}


class Instruction(NamedTuple):
  """A record for instruction tuning.

  Attributes:
    prompt: x: what is asked, its input included.
    response: y: the answer.
  """

  prompt: str
  response: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Template:
  """Texts with {prompt} and {response} in them; a brace is doubled.

  Attributes:
    example: a header and the example; cut at its end if it is too long, so
      what must stand before the query belongs to `query`.
    query: what is asked after an example; ends where the answer begins.
    alone: what stands in the place of the example where there is none.
    query_alone: what is asked then.
    answer: what is predicted.
    ends: whether the end of the text is a token of the answer.
  """

  example: str
  query: str
  alone: str
  query_alone: str
  answer: str
  ends: bool

  def __post_init__(self):
    """Raises ValueError for a field that a part may not have, or lacks."""
    for part, allowed in _FIELDS.items():
      found = self._fields(part)
      if not found <= allowed:
        raise ValueError(
          f"template, {part}: {{{sorted(found - allowed)[0]}}} cannot stand "
          f"there; allowed are {sorted(allowed) or 'no fields'}"
        )
    if _RESPONSE not in self._fields("answer"):
      raise ValueError("template, answer: expected {response} in it")

  def fill(self, part: str, instruction: Instruction) -> str:
    """The text of a part for a record."""
    return getattr(self, part).format(**instruction._asdict())

  def _fields(self, part: str) -> set[str]:
    try:
      pieces = list(string.Formatter().parse(getattr(self, part)))
    except ValueError as error:
      raise ValueError(
        f"template, {part}: {error}; write {{{{ for a brace"
      ) from error
    if any(spec or conversion for _, _, spec, conversion in pieces):
      raise ValueError(f"template, {part}: write fields as {{prompt}}, plain")
    return {name for _, name, _, _ in pieces if name is not None}


def in_context() -> Template:
  """One example, then a task to be done like it.

  As DELIFT has it (arXiv 2411.04425, Section 3.1), in words of our own: an
  order to take the example as a guide, the example, the query; and without an
  example a plain order.
  """
  task = "Task:\n{prompt}\n\nAnswer:\n"
  return Template(
    example=(
      "Below is an example of a task and a good answer to it. Let it guide "
      "you in form and style.\n\n" + task + "{response}"
    ),
    query="\n\nNow answer this one.\n\n" + task,
    alone="",
    query_alone="Below is a task. Answer it.\n\n" + task,
    answer="{response}",
    ends=False,
  )
