# SPDX-License-Identifier: Apache-2.0
"""The verb `fidelity`: how near cheap utility kernels come to the exact one."""

import json
import pathlib
from collections.abc import Mapping, Sequence

from data_efficient.cli import cost
from data_efficient.data import artifacts
from data_efficient.data.utility_kernels import UtilityKernel
from data_efficient.evaluation import fidelity_text, utility_fidelity
from data_efficient.selection import cover

JSON, MARKDOWN = "fidelity.json", "fidelity.md"


def fidelity(
  *,
  exact: str,
  approximations: Mapping[str, str],
  selector: cover.Cover,
  transform: str,
  budgets: Sequence[float],
  seeds: Sequence[int],
  resamples: int,
  seed: int,
  output: str,
) -> None:
  """Writes OUTPUT/fidelity.json, and fidelity.md, which it prints.

  Args:
    exact: directory of a kernel all of whose pairs were computed; may be of a
      sample of the targets and the examples.
    approximations: what a table calls a kernel -> its directory.
    selector: what chooses by each kernel.
    transform: of what it reads: "clip", "exp" or "raw".
    budgets: fractions of the examples, above 0, up to 1.
    seeds: of the random sets beside.
    resamples: bootstrap samples of the targets, from 100.
    seed: of these.
    output: directory.

  Raises:
    ValueError: see `FidelityError`, `KernelError` and `ArtifactError`.
  """
  settings = utility_fidelity.Settings(
    selector, transform, tuple(budgets), tuple(seeds), resamples, seed
  )
  kernels = {
    name: UtilityKernel.open(path) for name, path in approximations.items()
  }
  found = utility_fidelity.compare(UtilityKernel.open(exact), kernels, settings)
  found["exact"]["seconds"] = _seconds(exact)
  for row in found["approximations"]:
    row["seconds"] = _seconds(approximations[row["name"]])
    row["shape"] = list(kernels[row["name"]].shape)
  directory = pathlib.Path(output)
  directory.mkdir(parents=True, exist_ok=True)
  text = json.dumps(found, indent=2, sort_keys=True) + "\n"
  artifacts.atomic_write(directory / JSON, text.encode())
  page = fidelity_text.markdown(found)
  artifacts.atomic_write(directory / MARKDOWN, page.encode())
  print(page)
  print(directory / JSON)


def _seconds(directory: str) -> float | None:
  """None where nothing was measured."""
  return cost.seconds(directory) or None
