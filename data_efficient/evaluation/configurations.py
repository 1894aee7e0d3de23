# SPDX-License-Identifier: Apache-2.0
"""The configuration that each run wrote down, so that it can be had again."""

import pathlib
from collections.abc import Sequence
from typing import Any

from data_efficient.evaluation.run_rows import Measured

FILE = "config.gin"


def collect(measured: Sequence[Measured]) -> dict[str, Any]:
  """The configurations of runs; equal texts stand there once.

  Returns:
    {"texts": operative gin text, "runs": [{"run": directory's name, "sampler",
    "budget", "seed", "network", "text": index into the texts}], "missing":
    names of the directories of
    runs that have none}.
  """
  texts: dict[str, int] = {}
  runs, missing = [], []
  for each in measured:
    directory = pathlib.Path(each.run.directory)
    try:
      text = (directory / FILE).read_text("utf-8", errors="replace")
    except OSError:
      missing.append(directory.name)
      continue
    runs.append(
      {
        "run": directory.name,
        "sampler": each.run.sampler,
        "budget": each.run.budget,
        "seed": each.run.seed,
        "network": each.network,
        "text": texts.setdefault(text, len(texts)),
      }
    )
  return {"texts": list(texts), "runs": runs, "missing": missing}
