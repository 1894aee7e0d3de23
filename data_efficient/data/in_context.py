# SPDX-License-Identifier: Apache-2.0
"""Prompts with examples before the query, as token ids.

  begin · example(farthest) · … · example(nearest) · query(x)

The rows are those that are trained on (`instruction_rows`): each part of the
template is tokenised by itself, a separator stands between two examples, and
the query and the room for its answer are never touched. Where not all examples
fit, the farthest are left out; the nearest alone is cut at its end.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from data_efficient.data import (
  instruction_overlap,
  instruction_rows,
  instructions,
)
from data_efficient.scorers.templates import Instruction

TOO_LONG = "too long"
_BLANK = Instruction("", "")


class Prompt(NamedTuple):
  """What is to be continued.

  Attributes:
    ids: tokens; none of a query that does not fit.
    shown: examples in it, the nearest ones.
    cut: whether the nearest is not whole.
    reason: why there is no prompt; None where there is one.
  """

  ids: list[int]
  shown: int = 0
  cut: bool = False
  reason: str | None = None


def prompt(
  query: Instruction,
  examples: Sequence[Instruction],
  *,
  encoder: instruction_rows.Encoder,
  separator: Sequence[int],
  room: int,
) -> Prompt:
  """Puts examples before a query.

  Args:
    query: what is asked; its response is not looked at.
    examples: nearest first.
    encoder: of the network.
    separator: ids between two examples.
    room: tokens that the prompt may have.
  """
  asked = [*encoder.part("query", query), *encoder.end]
  left = room - len(encoder.begin) - len(asked)
  parts = [encoder.part("example", example) for example in examples]
  shown, count = before_query(parts, separator=separator, room=left)
  cut = parts and not count and len(encoder.part("example", _BLANK)) < left
  if cut:
    shown, count = parts[0][:left], 1
  if count:
    return Prompt([*encoder.begin, *shown, *asked], count, bool(cut))
  ids, _ = encoder.alone(query)
  if len(ids) > room:
    return Prompt([], reason=TOO_LONG)
  return Prompt(ids)


def before_query(
  examples: Iterable[Sequence[int]], *, separator: Sequence[int], room: int
) -> tuple[list[int], int]:
  """The ids that stand before a query, and how many examples they are.

  Args:
    examples: the first stands next to the query; the first that does not fit,
      and all behind it, are left out.
    separator: ids between two.
    room: ids, at most.
  """
  shown: list[int] = []
  count = 0
  for example in examples:
    more = [*example, *(separator if count else ())]
    if len(shown) + len(more) > room:
      break
    shown, count = [*more, *shown], count + 1
  return shown, count


def keys(instruction: Instruction) -> tuple[Hashable, Hashable]:
  """What makes another record a copy: its fingerprint, its prompt but for form.

  The latter as `instruction_overlap` has it.
  """
  prompt = instruction_overlap.normalized(instruction.prompt)
  return instructions.fingerprint(instruction), prompt
