# SPDX-License-Identifier: Apache-2.0
"""Verbs as processes: several at once, each on cores of its own.

A job is one command line. It is done when the same command, with the same gin
files and input files, has ended well before and what it left is still there;
the verbs themselves resume what was interrupted, so a job that was preempted
or crashed is tried again; a mistake of the user's is not.
"""

import collections
import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Iterator, Sequence

from data_efficient import progress
from data_efficient.cli import attempts
from data_efficient.cli import job as job_files

Job = job_files.Job
JobError = job_files.JobError

_POLL_SECONDS = 0.2
_LAST_SECONDS = 10.0


def run(
  jobs: Sequence[Job],
  *,
  directory: str,
  workers: int,
  runner: attempts.Runner | None = None,
) -> None:
  """Runs what is not done, `workers` at a time, in the order given.

  Args:
    jobs: each after the jobs that it needs.
    directory: gets logs/ and done/.
    workers: attempts at once; on this machine the cores are dealt out.
    runner: where they are run; None: on this machine.

  Raises:
    JobError: jobs failed: three times, or once by a mistake of the user's; all
      that do not need them were run.
  """
  root = pathlib.Path(directory)
  for name in ("logs", "done"):
    (root / name).mkdir(parents=True, exist_ok=True)
  waiting = {job.name: job for job in jobs if not job_files.is_done(job, root)}
  print(f"{len(jobs) - len(waiting)} of {len(jobs)} steps were done before")
  if waiting:
    _Pool(root, waiting, workers, runner or attempts.Here()).drain(
      total=len(jobs)
    )


@dataclasses.dataclass
class _Running:
  job: Job
  attempt: attempts.Attempt
  cores: attempts.Cores
  bar: int
  began: float
  # The first state of the present bar, and when it was seen.
  first: tuple[progress.Progress, float] | None = None


class _Pool:
  """Running attempts, their bars and their logs."""

  def __init__(
    self,
    root: pathlib.Path,
    waiting: dict[str, Job],
    workers: int,
    runner: attempts.Runner,
  ):
    self._root = root
    self._waiting = waiting
    self._runner = runner
    self._running: list[_Running] = []
    self._free = runner.slots(workers)
    self._attempts: collections.Counter[str] = collections.Counter()
    self._failures = job_files.Failures()

  def drain(self, *, total: int) -> None:
    finished = total - len(self._waiting)
    with self._display(total, finished) as (display, overall):
      try:
        while self._waiting or self._running:
          self._start(display)
          time.sleep(_POLL_SECONDS)
          for running in list(self._running):
            self._follow(running, display)
            if running.attempt.poll() is not None:
              settled = self._end(running, display)
              display.advance(overall, settled)
      except BaseException:
        self._stop()
        raise
    self._failures.check()

  @contextlib.contextmanager
  def _display(self, total: int, finished: int) -> Iterator[tuple]:
    with progress.bars() as display:
      overall = display.add_task(
        "steps", total=total, completed=finished, rate=""
      )
      yield display, overall

  def _start(self, display) -> None:
    for name, job in list(self._waiting.items()):
      needed = set(job.needs) & (set(self._waiting) | self._names())
      if self._free and not needed:
        del self._waiting[name]
        self._running.append(self._launch(job, self._free.pop(0), display))

  def _names(self) -> set[str]:
    return {running.job.name for running in self._running}

  def _launch(self, job: Job, cores: attempts.Cores, display) -> _Running:
    self._attempts[job.name] += 1
    log = self._log(job)
    with log.open("w" if self._attempts[job.name] == 1 else "a") as stream:
      stream.write(f"{job.command()}\n")
    place = attempts.Place(
      log=log, bar=self._bar_file(job), cache=self._root / "cache", cores=cores
    )
    attempt = self._runner.start(job, place)
    bar = display.add_task(job.name, total=None, rate="starting")
    return _Running(job, attempt, cores, bar, time.monotonic())

  def _bar_file(self, job: Job) -> pathlib.Path:
    return self._root / "logs" / f"{job.name}.progress"

  def _log(self, job: Job) -> pathlib.Path:
    return self._root / "logs" / f"{job.name}.log"

  def _follow(self, running: _Running, display) -> None:
    state = progress.read(self._bar_file(running.job))
    if not state:
      return
    if running.first is None or running.first[0].label != state.label:
      running.first = state, time.monotonic()
      display.reset(running.bar, total=state.total)
    began, since = running.first
    seconds = max(time.monotonic() - since, 1e-3)
    display.update(
      running.bar,
      description=f"{running.job.name}: {state.label}",
      completed=state.done,
      rate=f"{(state.done - began.done) / seconds:,.1f}/s",
    )

  def _end(self, running: _Running, display) -> int:
    """How many jobs this settles: none where it is tried again."""
    self._running.remove(running)
    self._free.insert(0, running.cores)
    display.remove_task(running.bar)
    job, seconds = running.job, time.monotonic() - running.began
    self._bar_file(job).unlink(missing_ok=True)
    if code := running.attempt.poll():
      tried, outcome = self._attempts[job.name], running.attempt.outcome()
      if code != job_files.MISTAKE and tried < job_files.ATTEMPTS:
        self._waiting[job.name] = job
        words = f"{outcome}, again ({tried + 1} of {job_files.ATTEMPTS})"
        display.console.print(f"{job.name}: {words}", highlight=False)
        return 0
      display.console.print(f"{job.name}: failed", highlight=False)
      return self._failures.add(
        job, self._waiting, outcome, self._log(job), tried
      )
    job_files.mark_done(job, self._root)
    display.console.print(f"{job.name}: {seconds:.0f} s", highlight=False)
    return 1

  def _stop(self) -> None:
    for running in self._running:
      running.attempt.terminate()
    last = time.monotonic() + _LAST_SECONDS
    while time.monotonic() < last and self._alive():
      time.sleep(_POLL_SECONDS)
    for running in self._alive():
      running.attempt.kill()
    for running in self._running:
      self._bar_file(running.job).unlink(missing_ok=True)

  def _alive(self) -> list[_Running]:
    return [r for r in self._running if r.attempt.poll() is None]
