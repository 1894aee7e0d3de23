# SPDX-License-Identifier: Apache-2.0
"""Which accelerators Vertex AI has by XManager; needs no XManager."""

import dataclasses
import difflib
import re

# XManager asks Vertex AI for machines that have these; for newer GPUs it asks
# for N1 machines, which do not have them.
KNOWN = ("tpu_v2", "tpu_v3", "p4", "p100", "t4", "v100", "a100", "l4_24th")
_NEWER_TPUS = re.compile(r"(?:tpu_?)?(v4|v5e|v5litepod|v5p|v6e|v7x|7x)\b")
_NEWER_GPUS = ("a100_80gib", "h100", "h100_mega", "h200", "b200", "b300")


class AcceleratorError(ValueError):
  """An accelerator that Vertex AI does not have by XManager."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accelerator:
  """So many chips of a kind, in one machine.

  Attributes:
    name: XManager's: tpu_v3, v100, …
    count: chips; TPU cores.
  """

  name: str
  count: int

  @property
  def is_tpu(self) -> bool:
    """Whether it is a TPU."""
    return self.name.startswith("tpu_")

  def __str__(self) -> str:
    return f"{self.name}={self.count}"


def parse(text: str) -> Accelerator | None:
  """Reads NAME=COUNT; None where there is nothing.

  Raises:
    AcceleratorError: another form, or a kind that is not to be had, with what
      to do.
  """
  if not text:
    return None
  name, separator, count = text.lower().partition("=")
  if found := _NEWER_TPUS.match(name):
    family = "v5litepod" if found[1] == "v5e" else found[1]
    raise AcceleratorError(
      f"--accelerator={text}: Vertex AI by XManager has TPU v2 and v3 only; "
      f"use python -m launch.tpu_vm CONFIG --accelerator={family}-SIZE"
    )
  if name in _NEWER_GPUS:
    raise AcceleratorError(
      f"--accelerator={text}: XManager asks Vertex AI for a machine without "
      "such a GPU; run python -m launch.local CONFIG on a machine that has"
    )
  if name not in KNOWN:
    near = difflib.get_close_matches(name, KNOWN, n=1)
    raise AcceleratorError(
      f"--accelerator={text}: there is no {name}"
      f"{f' (did you mean {near[0]}?)' if near else ''}; there are "
      f"{', '.join(KNOWN)}, each as NAME=COUNT"
    )
  if not separator or not count.isdecimal() or int(count) < 1:
    raise AcceleratorError(
      f"--accelerator={text}: expected NAME=COUNT, such as tpu_v3=8 or v100=4"
    )
  return Accelerator(name=name, count=int(count))
