# SPDX-License-Identifier: Apache-2.0
"""One job: its command line, when it is done, and what its failure means.

A job is done when the same command, with the same gin files and input files,
has ended well before and what it left is still there.
"""

import dataclasses
import glob
import os
import pathlib
import shlex
from collections.abc import Mapping, Sequence

import xxhash

from data_efficient import gin_config
from data_efficient.data import artifacts

ATTEMPTS = 3
# What a verb exits with for a mistake of the user's: again changes nothing.
MISTAKE = 2
# Jobs that are named of those that were not run; the others are counted.
_NAMED = 3
# All other verbs read and write files, in one process.
_COMPUTING = (
  *("score", "train", "infer", "suite", "utility", "respond", "grade"),
)


class JobError(ValueError):
  """Jobs that failed, with commands and logs, and those that needed them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
  """One verb in a process of its own.

  Attributes:
    name: unique; also the name of its log.
    verb: the verb.
    gin_files: in their order.
    bindings: gin macros; strings and numbers.
    leaves: files that are there when it is done.
    needs: names of the jobs that must be done before.
  """

  name: str
  verb: str
  gin_files: Sequence[str]
  bindings: Mapping[str, object]
  leaves: Sequence[str] = ()
  needs: Sequence[str] = ()

  def words(self) -> list[str]:
    """The command line after `python -m data_efficient`."""
    return [
      self.verb,
      *(f"--gin_file={path}" for path in self.gin_files),
      *(f"--gin.{name}={value!r}" for name, value in self.bindings.items()),
    ]

  def argv(self, python: str = "python") -> list[str]:
    """The process, by an interpreter of that name."""
    return [python, "-m", "data_efficient", *self.words()]

  def command(self) -> str:
    """What a person would type."""
    return shlex.join(self.argv())

  @property
  def computes(self) -> bool:
    """Whether the verb needs an accelerator, and shares work with others."""
    return self.verb in _COMPUTING


def elsewhere(jobs: Sequence[Job]) -> list[Job]:
  """The jobs as they are on other machines: what they leave is not on this."""
  return [dataclasses.replace(job, leaves=()) for job in jobs]


class Failures:
  """What failed, and what was not run because it needs that."""

  def __init__(self):
    self._messages: list[str] = []
    # A failed job -> those that need it.
    self._lost: dict[str, list[str]] = {}

  def add(
    self,
    job: Job,
    waiting: dict[str, Job],
    outcome: str,
    log: pathlib.Path,
    attempts: int,
  ) -> int:
    """Takes what needs `job` out of `waiting`; how many jobs this settles."""
    tail = log.read_text(errors="replace").splitlines()[-15:]
    times = f", {attempts} times" if attempts > 1 else ""
    self._messages.append(
      f"{job.name} failed ({outcome}{times}); its log is {log}, its command\n"
      f"  {job.command()}\n" + "\n".join(tail)
    )
    gone = [job.name]
    # It grows while it is read: what needs what needs it is not run either.
    for name in gone:
      for other in [o for o in waiting.values() if name in o.needs]:
        del waiting[other.name]
        gone.append(other.name)
    self._lost[job.name] = gone[1:]
    return len(gone)

  def check(self) -> None:
    """Raises JobError if anything failed."""
    if not self._messages:
      return
    lines = []
    for why, lost in self._lost.items():
      lines += [f"not run: {name} (needs {why})" for name in lost[:_NAMED]]
      if more := lost[_NAMED:]:
        others = "1 other" if len(more) == 1 else f"{len(more)} others"
        lines.append(f"not run: {others}, the last {more[-1]} (need {why})")
    count = len(self._messages)
    failed = "1 job" if count == 1 else f"{count} jobs"
    raise JobError("\n".join([f"{failed} failed", *self._messages, *lines]))


def _marker(job: Job, root: pathlib.Path) -> pathlib.Path:
  return root / "done" / job.name


def is_done(job: Job, root: pathlib.Path) -> bool:
  """Whether it need not run; `root` has the folder done/."""
  marker = _marker(job, root)
  if not all(pathlib.Path(path).exists() for path in job.leaves):
    return False
  return marker.exists() and marker.read_text() == _digest(job)


def mark_done(job: Job, root: pathlib.Path) -> None:
  """Says in done/ that it ended well."""
  artifacts.atomic_write(_marker(job, root), _digest(job).encode())


def _digest(job: Job) -> str:
  """Of the command, its input files, and all gin files it could include."""
  digest = xxhash.xxh3_128(job.command().encode())
  files = sorted((gin_config.ROOT / "gin").rglob("*.gin"))
  for path in [*files, *map(pathlib.Path, job.gin_files)]:
    if path.exists():
      digest.update(path.read_bytes())
  for path in _input_files(job):
    facts = os.stat(path)
    digest.update(f"{path} {facts.st_size} {facts.st_mtime_ns}".encode())
  return digest.hexdigest()


def _input_files(job: Job) -> list[str]:
  """Files that a binding names by a glob or a path."""
  values = [
    value if isinstance(value, tuple | list) else (value,)
    for value in job.bindings.values()
  ]
  patterns = [v for group in values for v in group if isinstance(v, str)]
  found = [path for pattern in patterns for path in glob.glob(pattern)]
  return sorted(path for path in found if os.path.isfile(path))
