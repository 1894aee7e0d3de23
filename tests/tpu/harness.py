# SPDX-License-Identifier: Apache-2.0
"""Arrays that are not there, on chips that are not there."""

from data_efficient.evaluation import chips
from data_efficient.models import topologies

struct = topologies.struct
laid_out = topologies.laid_out
peak_bytes = topologies.peak_bytes

# Bytes of HBM of one chip.
MEMORY = {
  chip.name: chip.memory_bytes
  for chip in chips.CHIPS
  if chip.name in topologies.SLICES
}


def flops(compiled) -> str:
  """Operations of one chip, as libtpu counts them: a loop's body once."""
  found = (compiled.cost_analysis() or {}).get("flops")
  return "no FLOPs" if found is None else f"{found:.3g} FLOPs a chip"
