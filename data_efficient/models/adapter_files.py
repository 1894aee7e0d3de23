# SPDX-License-Identifier: Apache-2.0
"""What an adapter is of: `adapter.json`, beside the checkpoints of a run.

    {"format": 1, "lora": {"rank": …, "alpha": …, "dropout_rate": …,
     "targets": […]}, "base": {"checkpoint": PATH, "fingerprint": HEX}}

A run that trains an adapter leaves it, and checkpoints of the adapter alone.
"""

import dataclasses
import json
import pathlib
from typing import NamedTuple

from data_efficient.models import adapters, tensor_files
from data_efficient.models.parameter_trees import CheckpointError

NAME = "adapter.json"

_FORMAT = 1
_CHECKPOINTS = "checkpoints"


class Base(NamedTuple):
  """The network that an adapter was trained on.

  Attributes:
    checkpoint: where its parameters were.
    fingerprint: theirs.
  """

  checkpoint: str
  fingerprint: str


class Record(NamedTuple):
  """An adapter's configuration, and its base."""

  lora: adapters.Lora
  base: Base

  def encoded(self) -> bytes:
    """The text of the file."""
    values = {
      "format": _FORMAT,
      "lora": dataclasses.asdict(self.lora),
      "base": self.base._asdict(),
    }
    return json.dumps(values, indent=1).encode() + b"\n"


def find(directory: pathlib.Path) -> Record | None:
  """The record of a run's directory, its `checkpoints`, or one of those.

  Raises:
    CheckpointError: a file that is no such record.
  """
  places = [directory]
  if directory.name == _CHECKPOINTS:
    places.append(directory.parent)
  elif directory.parent.name == _CHECKPOINTS:
    places.append(directory.parent.parent)
  for place in places:
    if (place / NAME).is_file():
      return read(place / NAME)
  return None


def read(path: pathlib.Path) -> Record:
  """A record.

  Raises:
    CheckpointError: not there, or no such record.
  """
  values = tensor_files.read_object(path)
  if values.get("format") != _FORMAT:
    raise CheckpointError(
      f"{path}: format is {values.get('format')!r}, expected {_FORMAT}: it"
      " is of another version of this program"
    )
  try:
    return Record(adapters.Lora(**values["lora"]), Base(**values["base"]))
  except (KeyError, TypeError, adapters.AdapterError) as error:
    raise CheckpointError(
      f"{path}: expected the fields of an adapter and of its base ({error})"
    ) from error


def check_base(record: Record, found: Base, *, where: str) -> None:
  """Compares the base at hand with the one that an adapter was trained on.

  Raises:
    CheckpointError: another one; names both.
  """
  if found.fingerprint != record.base.fingerprint:
    raise CheckpointError(
      f"{where}: an adapter of {record.base.checkpoint} (fingerprint"
      f" {record.base.fingerprint}), but the base at hand is"
      f" {found.checkpoint} ({found.fingerprint}): use the base that the"
      f" adapter was trained on; if it lies elsewhere now, say so in {NAME}"
    )
