# SPDX-License-Identifier: Apache-2.0
"""Attempts as work units of an XManager experiment. Imports XManager."""

import asyncio
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from absl import flags
from xmanager import xm, xm_local

from data_efficient.cli import attempts
from data_efficient.cli import job as job_files


class Experiment:
  """An experiment whose units are added and followed from another thread."""

  def __init__(
    self, experiment: xm.Experiment, loop: asyncio.AbstractEventLoop
  ):
    """Of an experiment that was entered in that loop."""
    self._experiment = experiment
    self._loop = loop

  def package(self, packageable: xm.Packageable) -> xm.Executable:
    """Builds one executable."""
    return self._experiment.package([packageable])[0]

  def add(self, job: xm.Job) -> "Unit":
    """Starts a job as a unit of its own; returns at once."""
    return Unit(self._experiment, job, self._loop)


class Unit:
  """One unit: whether it has ended, and the error that it ended with."""

  def __init__(self, experiment, job: xm.Job, loop):
    """Adds the job to the experiment."""
    self._unit: xm.ExperimentUnit | None = None
    self._future = asyncio.run_coroutine_threadsafe(
      self._follow(experiment, job), loop
    )

  async def _follow(self, experiment, job: xm.Job) -> None:
    self._unit = await experiment.add(job)
    await self._unit.wait_until_complete()

  def has_ended(self) -> bool:
    """Whether it ended, in whatever way."""
    return self._future.done()

  def error(self) -> BaseException | None:
    """Of a unit that has ended, why it failed."""
    if self._future.cancelled():
      return concurrent.futures.CancelledError()
    return self._future.exception()

  def stop(self) -> None:
    """Asks XManager to stop it, where it can."""
    if self._unit:
      self._unit.stop()


class _Leaving(Exception):
  """The way out of an experiment."""


@contextlib.contextmanager
def experiment(title: str, xm_flags: Sequence[str]) -> Iterator[Experiment]:
  """An experiment of the local scheduler, in a thread of its own.

  Args:
    title: of the experiment.
    xm_flags: XManager's own flags, `--xm_NAME=VALUE` each.
  """
  flags.FLAGS(["xm_launch", *xm_flags])
  loop = asyncio.new_event_loop()
  thread = threading.Thread(target=loop.run_forever, daemon=True)
  thread.start()

  entered: concurrent.futures.Future = concurrent.futures.Future()
  leaving = asyncio.Event()

  async def hold():
    # Entered and left in one task: XManager keeps both in its context.
    async with xm_local.create_experiment(title) as made:
      entered.set_result(made)
      await leaving.wait()
      # All units have ended; otherwise it would wait for each again, and raise
      # failures that whoever added them knows.
      raise _Leaving

  held = asyncio.run_coroutine_threadsafe(hold(), loop)
  held.add_done_callback(
    lambda done: (
      None if entered.done() else entered.set_exception(done.exception())
    )
  )
  try:
    yield Experiment(entered.result(), loop)
  finally:
    loop.call_soon_threadsafe(leaving.set)
    with contextlib.suppress(_Leaving):
      held.result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


class Here:
  """Every job is a process of this machine, started by XManager."""

  def __init__(self, made: Experiment):
    """Packages the interpreter: no Docker."""
    self._experiment = made
    self._python = made.package(
      xm.binary(xm_local.Local.Spec(), path=sys.executable)
    )

  def slots(self, workers: int) -> list[attempts.Cores]:
    """The cores of this process, dealt out."""
    return attempts.shares(workers)

  def start(
    self, job: job_files.Job, place: attempts.Place
  ) -> attempts.Attempt:
    """Adds the job's worker to the experiment."""
    status = place.log.with_suffix(".status")
    status.unlink(missing_ok=True)
    cores = ",".join(map(str, place.cores))
    # XManager quotes each of these for its shell; they are not quoted before.
    words = ["-m", "launch.xm_worker", str(place.log), str(status), cores]
    unit = self._experiment.add(
      xm.Job(
        executable=self._python,
        executor=xm_local.Local(),
        name=job.name,
        args=[*words, *job.argv(sys.executable)],
        env_vars=place.environment(),
      )
    )
    return _AttemptHere(unit, status)


class _AttemptHere:
  def __init__(self, unit: Unit, status: pathlib.Path):
    self._unit = unit
    self._status = status

  def poll(self) -> int | None:
    if not self._unit.has_ended():
      return None
    # A worker that was killed said nothing.
    return int((self._said() + ["", "1"])[1] or 1)

  def _said(self) -> list[str]:
    return self._status.read_text().split() if self._status.exists() else []

  def outcome(self) -> str:
    if len(self._said()) > 1:
      return f"exit {self.poll()}"
    return str(self._unit.error())

  def terminate(self) -> None:
    self._signal(signal.SIGTERM)

  def kill(self) -> None:
    # XManager starts each in a session of its own.
    self._signal(signal.SIGKILL, group=True)

  def _signal(self, number: int, *, group: bool = False) -> None:
    if not self._said():
      return
    process = int(self._said()[0])
    with contextlib.suppress(ProcessLookupError):
      if group:
        os.killpg(os.getpgid(process), number)
      else:
        os.kill(process, number)
