# SPDX-License-Identifier: Apache-2.0
"""The verb `split`: instructions in files to sets that share no prompt."""

import dataclasses
from collections.abc import Mapping

from data_efficient import processes
from data_efficient.data import (
  instruction_overlap,
  instruction_splits,
  instructions,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Brought:
  """Sets that lie in files of their own.

  Attributes:
    sets: name -> records; None for a set that there is not.
  """

  sets: Mapping[str, instructions.Instructions | None]


def split(
  *, sets: instruction_splits.Shares | Brought, output: str | None
) -> None:
  """Makes sets from files, or checks sets that are files.

  Args:
    sets: how they are made, or what they are.
    output: directory of the sets that are made.

  Raises:
    SplitError: sets that overlap or cannot be made; says what to do.
    CorpusError: a file that is missing or damaged.
    ArtifactError: other sets lie there, or one was edited.
  """
  processes.join()
  if isinstance(sets, Brought):
    found = {name: each for name, each in sets.sets.items() if each is not None}
    instruction_overlap.check(found)
    sizes = {name: len(each.records) for name, each in found.items()}
    print(f"no two sets have a record or a prompt in common: {_said(sizes)}")
    return
  with processes.first_alone("splits"):
    made = sets.make(output)
  if processes.is_first():
    _report(made, output)


def _report(made: instruction_splits.Made, output: str) -> None:
  figures = made.summary
  if made.done_before:
    print(f"{output}: done before")
  print(f"{output}: {_said(figures['sets'])}")
  copies, alone = figures["copies"], figures["drawn_record_by_record"]
  print(
    f"{copies['fingerprint']:,} of {figures['records']:,} records are there"
    f" before, and the prompts of {copies['prompt']:,}; they stay together, in"
    f" {figures['bundles']:,} bundles. Drawn record by record, so many would be"
    f" in the first set, too: {_said(alone)}"
  )
  if figures["empty_responses"]:
    print(
      f"{figures['empty_responses']:,} records have an empty response: they are"
      " unscorable, and nothing is trained on them"
    )


def _said(sizes: Mapping[str, int]) -> str:
  return ", ".join(f"{count:,} {name}" for name, count in sizes.items())
