# SPDX-License-Identifier: Apache-2.0
"""Where a job is run, and one attempt at it: here, as a process.

The scheduler (`jobs`) knows no more of a place than `Runner` and `Attempt`
say; `launch` has others, on other machines.
"""

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from data_efficient import gin_config, progress
from data_efficient.cli import job as job_files

Cores = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
  """What an attempt gets beside its job.

  Attributes:
    log: file that its output is appended to.
    bar: file that its progress goes to.
    cache: directory of compiled steps, for all attempts.
    cores: of this machine, those that are its own; empty elsewhere.
  """

  log: pathlib.Path
  bar: pathlib.Path
  cache: pathlib.Path
  cores: Cores

  def environment(self) -> dict[str, str]:
    """Variables for a process on this machine."""
    return {
      progress.FILE_VARIABLE: str(self.bar),
      "TF_CPP_MIN_LOG_LEVEL": "3",
      # The same step is compiled by many runs: once is enough.
      "JAX_COMPILATION_CACHE_DIR": str(self.cache.absolute()),
      # XLA takes fresh memory for each step; with huge pages a step of the
      # quickstart spends 0.02 s on page faults instead of 0.17 s.
      "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
      "PYTHONPATH": os.pathsep.join(
        [str(gin_config.ROOT), os.environ.get("PYTHONPATH", "")]
      ).rstrip(os.pathsep),
    }


@runtime_checkable
class Attempt(Protocol):
  """A job that was started."""

  def poll(self) -> int | None:
    """Its exit code; None while it runs."""

  def outcome(self) -> str:
    """In words how it failed."""

  def terminate(self) -> None:
    """Asks it to end; does not wait."""

  def kill(self) -> None:
    """Ends it."""


@runtime_checkable
class Runner(Protocol):
  """Where jobs are run."""

  def slots(self, workers: int) -> list[Cores]:
    """The cores of each of those that are run at once."""

  def start(self, job: job_files.Job, place: Place) -> Attempt:
    """Starts a job, and returns at once."""


class Here:
  """Processes on this machine."""

  def slots(self, workers: int) -> list[Cores]:
    """The cores of this process, dealt out; every worker has one at least."""
    return shares(workers)

  def start(self, job: job_files.Job, place: Place) -> Attempt:
    """Starts the verb."""
    return Process(
      job.argv(sys.executable), place.log, place.cores, place.environment()
    )


class Process:
  """An attempt that is a process of this machine."""

  def __init__(
    self,
    argv: Sequence[str],
    log: pathlib.Path,
    cores: Cores,
    environment: Mapping[str, str],
  ):
    """Starts it.

    Args:
      argv: its command line.
      log: file that its output is appended to.
      cores: those that it may run on; all where empty.
      environment: variables beside this process's own.
    """
    with log.open("a") as stream:
      self._process = subprocess.Popen(
        argv,
        stdout=stream,
        stderr=subprocess.STDOUT,
        env=os.environ | environment,
      )
    if cores:
      # Its thread pools, made later, are as large as its set of cores.
      with contextlib.suppress(ProcessLookupError):
        os.sched_setaffinity(self._process.pid, cores)

  def poll(self) -> int | None:
    """Its exit code; None while it runs."""
    return self._process.poll()

  def wait(self) -> int:
    """Its exit code, when it has ended."""
    return self._process.wait()

  def outcome(self) -> str:
    """Its exit code, in words."""
    return f"exit {self._process.returncode}"

  def terminate(self) -> None:
    """SIGTERM."""
    self._process.terminate()

  def kill(self) -> None:
    """SIGKILL."""
    self._process.kill()


def shares(workers: int) -> list[Cores]:
  """The cores of this process, dealt out; every worker has one at least."""
  cores = sorted(os.sched_getaffinity(0))
  workers = max(1, min(workers, len(cores)))
  return [tuple(cores[number::workers]) for number in range(workers)]
