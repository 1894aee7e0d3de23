# SPDX-License-Identifier: Apache-2.0
"""Whether sets of instructions overlap: by record, and by prompt.

Records are one and the same where prompt and response are (their 64-bit
fingerprint), and where their prompts are but for case, punctuation and white
space.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import xxhash

from data_efficient.data import instructions

POOL, TARGETS = "pool", "targets"
_FOLDED = re.compile(r"[\W_]+")
_NAMED = 3  # overlapping records that a message names
_SHOWN = 40  # characters of their prompts


class SplitError(ValueError):
  """Sets that overlap, or that cannot be made; says what to do."""


class Shared(NamedTuple):
  """A record of one set that another set has, too.

  Attributes:
    number: in the first set.
    other: in the second.
    whole: whether the responses are the same, too.
  """

  number: int
  other: int
  whole: bool


def normalized(prompt: str) -> str:
  """A prompt in lower case, its punctuation and white space as single spaces.

  One of punctuation alone stays what it is.
  """
  return _FOLDED.sub(" ", prompt.casefold()).strip() or prompt


def shared(
  first: instructions.Instructions, second: instructions.Instructions
) -> list[Shared]:
  """Records of one set that are in another, each with its first copy there."""
  whole, prompts = {}, {}
  for number, record in enumerate(second.records):
    whole.setdefault(instructions.fingerprint(record), number)
    prompts.setdefault(prompt_key(record.prompt), number)
  found = []
  for number, record in enumerate(first.records):
    key = instructions.fingerprint(record)
    other = whole.get(key, prompts.get(prompt_key(record.prompt)))
    if other is not None:
      found.append(Shared(number, other, key in whole))
  return found


def check(sets: Mapping[str, instructions.Instructions]) -> None:
  """Refuses sets of which two have a record or a prompt in common.

  Args:
    sets: name -> records. With "targets" the pool must have several tasks.

  Raises:
    SplitError: names the sets, how many records they share and the first of
      them, and what to do.
    CorpusError: a file that is missing or damaged.
  """
  names = list(sets)
  for place, name in enumerate(names):
    for other in names[:place]:
      if found := shared(sets[name], sets[other]):
        raise SplitError(_message(name, other, sets, found))
  if TARGETS in sets and POOL in sets:
    check_tasks(sets[POOL].tasks)


def check_tasks(tasks: Sequence[str]) -> None:
  """Refuses a pool of one task, where a selection is for some tasks.

  Raises:
    SplitError: there is one.
  """
  if len(set(tasks)) < 2:
    raise SplitError(
      f"the pool has one task ({tasks[0]!r}), from which nothing can be chosen"
      " for the targets' task: name the field that tells tasks apart as"
      " TASK_FIELD, bring records of other tasks, or select without targets"
      " (gin/runs/instruction_tuning.gin)"
    )


def _message(
  name: str,
  other: str,
  sets: Mapping[str, instructions.Instructions],
  found: Sequence[Shared],
) -> str:
  whole = sum(each.whole for each in found)
  first, second = sets[name], sets[other]
  lines = [
    f"{_place(first, each.number)} is {_place(second, each.other)}"
    f" ({first.records[each.number].prompt[:_SHOWN]!r})"
    for each in found[:_NAMED]
  ]
  return (
    f"{len(found):,} of {len(first.records):,} records of {name!r} are in"
    f" {other!r}, too: {whole:,} whole, {len(found) - whole:,} with another"
    " response to the same prompt (but for case, punctuation and white space)."
    f" {'; '.join(lines)}{' …' * (len(found) > _NAMED)}. Leave them out of one,"
    " or have gin/runs/split.gin split all files anew"
  )


def _place(records: instructions.Instructions, number: int) -> str:
  file, row = records.places[number]
  return f"{file}, row {row}"


def prompt_key(prompt: str) -> int:
  """xxh3-64 of the normalized prompt."""
  return xxhash.xxh3_64_intdigest(normalized(prompt).encode("utf-8"))
