# SPDX-License-Identifier: Apache-2.0
"""What a verb cost: wall-clock seconds, kept beside its output.

An artifact's bytes do not depend on when or how often it was run, so the
seconds stand in a file of their own; interrupted runs add up.
"""

import contextlib
import json
import pathlib
import subprocess
import time
from collections.abc import Iterator

from data_efficient import gin_config, processes
from data_efficient.data import artifacts

FILE = "cost.json"


class CostError(ValueError):
  """A cost that was written down and cannot be read."""


@contextlib.contextmanager
def measured(directory: artifacts.PathLike) -> Iterator[None]:
  """Adds the seconds of the block to DIRECTORY/cost.json, also on failure.

  Of several processes the first counts for all.
  """
  if not processes.is_first():
    yield
    return
  before, began = seconds(directory), time.perf_counter()
  try:
    yield
  finally:
    passed = (time.perf_counter() - began) * processes.count()
    spent = round(before + passed, 3)
    if pathlib.Path(directory).is_dir():
      data = json.dumps({"seconds": spent}).encode()
      artifacts.atomic_write(pathlib.Path(directory, FILE), data)


def seconds(directory: artifacts.PathLike) -> float:
  """Seconds spent on a directory so far; 0.0 if nothing was measured.

  Raises:
    CostError: cost.json is damaged.
  """
  path = pathlib.Path(directory, FILE)
  if not path.exists():
    return 0.0
  try:
    return float(json.loads(path.read_bytes())["seconds"])
  except (ValueError, KeyError, TypeError) as error:
    raise CostError(
      f"{path}: damaged ({error!r}): remove it, and what was spent before is "
      "not known"
    ) from None


def is_measured(directory: artifacts.PathLike) -> bool:
  """Whether it is known what was spent on a directory."""
  return pathlib.Path(directory, FILE).exists()


def commit() -> str:
  """The commit of this code, "+" behind it if files differ; or "unknown"."""

  def git(*words: str) -> str:
    done = subprocess.run(
      ["git", "-C", str(gin_config.ROOT), *words],
      capture_output=True,
      text=True,
      check=True,
    )
    return done.stdout.strip()

  try:
    dirty = "+" if git("status", "--porcelain") else ""
    return git("rev-parse", "--short=12", "HEAD") + dirty
  except (OSError, subprocess.CalledProcessError):
    return "unknown"
