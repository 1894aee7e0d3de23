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
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from data_efficient import gin_config, progress
from data_efficient.cli import job as job_files

Job = job_files.Job
JobError = job_files.JobError

_POLL_SECONDS = 0.2


def run(jobs: Sequence[Job], *, directory: str, workers: int) -> None:
  """Runs what is not done, `workers` at a time, in the order given.

  Args:
    jobs: each after the jobs that it needs.
    directory: gets logs/ and done/.
    workers: processes at once; the cores are dealt out among them.

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
    _Pool(root, waiting, workers).drain(total=len(jobs))


@dataclasses.dataclass
class _Process:
  job: Job
  process: subprocess.Popen
  cores: tuple[int, ...]
  bar: int
  began: float
  # The first state of the present bar, and when it was seen.
  first: tuple[progress.Progress, float] | None = None


class _Pool:
  """Running processes, their bars and their logs."""

  def __init__(self, root: pathlib.Path, waiting: dict[str, Job], workers: int):
    self._root = root
    self._waiting = waiting
    self._done: set[str] = set()
    self._running: list[_Process] = []
    self._free = _shares(workers)
    self._attempts: collections.Counter[str] = collections.Counter()
    self._failures = job_files.Failures()

  def drain(self, *, total: int) -> None:
    finished = total - len(self._waiting)
    with self._display(total, finished) as (display, overall):
      try:
        while self._waiting or self._running:
          self._start(display)
          time.sleep(_POLL_SECONDS)
          for process in list(self._running):
            self._follow(process, display)
            if process.process.poll() is not None:
              settled = self._end(process, display)
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
    return {process.job.name for process in self._running}

  def _launch(self, job: Job, cores: tuple[int, ...], display) -> _Process:
    self._attempts[job.name] += 1
    log = self._log(job).open("w" if self._attempts[job.name] == 1 else "a")
    log.write(f"{job.command()}\n")
    log.flush()
    process = subprocess.Popen(
      job.argv(sys.executable),
      stdout=log,
      stderr=subprocess.STDOUT,
      cwd=os.getcwd(),
      env=self._environment(job),
    )
    log.close()
    # Its thread pools, made later, are as large as its set of cores.
    with contextlib.suppress(ProcessLookupError):
      os.sched_setaffinity(process.pid, cores)
    bar = display.add_task(job.name, total=None, rate="starting")
    return _Process(job, process, cores, bar, time.monotonic())

  def _environment(self, job: Job) -> dict[str, str]:
    return os.environ | {
      progress.FILE_VARIABLE: str(self._bar_file(job)),
      "TF_CPP_MIN_LOG_LEVEL": "3",
      # The same step is compiled by many runs: once is enough.
      "JAX_COMPILATION_CACHE_DIR": str((self._root / "cache").absolute()),
      # XLA takes fresh memory for each step; with huge pages a step of the
      # quickstart spends 0.02 s on page faults instead of 0.17 s.
      "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
      "PYTHONPATH": os.pathsep.join(
        [str(gin_config.ROOT), os.environ.get("PYTHONPATH", "")]
      ).rstrip(os.pathsep),
    }

  def _bar_file(self, job: Job) -> pathlib.Path:
    return self._root / "logs" / f"{job.name}.progress"

  def _log(self, job: Job) -> pathlib.Path:
    return self._root / "logs" / f"{job.name}.log"

  def _follow(self, process: _Process, display) -> None:
    state = progress.read(self._bar_file(process.job))
    if not state:
      return
    if process.first is None or process.first[0].label != state.label:
      process.first = state, time.monotonic()
      display.reset(process.bar, total=state.total)
    began, since = process.first
    seconds = max(time.monotonic() - since, 1e-3)
    display.update(
      process.bar,
      description=f"{process.job.name}: {state.label}",
      completed=state.done,
      rate=f"{(state.done - began.done) / seconds:,.1f}/s",
    )

  def _end(self, process: _Process, display) -> int:
    """How many jobs this settles: none where it is tried again."""
    self._running.remove(process)
    self._free.insert(0, process.cores)
    display.remove_task(process.bar)
    job, seconds = process.job, time.monotonic() - process.began
    self._bar_file(job).unlink(missing_ok=True)
    if code := process.process.returncode:
      attempts = self._attempts[job.name]
      if code != job_files.MISTAKE and attempts < job_files.ATTEMPTS:
        self._waiting[job.name] = job
        words = f"exit {code}, again ({attempts + 1} of {job_files.ATTEMPTS})"
        display.console.print(f"{job.name}: {words}", highlight=False)
        return 0
      display.console.print(f"{job.name}: failed", highlight=False)
      return self._failures.add(
        job, self._waiting, f"exit {code}", self._log(job), attempts
      )
    job_files.mark_done(job, self._root)
    display.console.print(f"{job.name}: {seconds:.0f} s", highlight=False)
    return 1

  def _stop(self) -> None:
    for process in self._running:
      process.process.terminate()
    for process in self._running:
      try:
        process.process.wait(timeout=10)
      except subprocess.TimeoutExpired:
        process.process.kill()
      self._bar_file(process.job).unlink(missing_ok=True)


def _shares(workers: int) -> list[tuple[int, ...]]:
  """The cores of this process, dealt out; every worker has one at least."""
  cores = sorted(os.sched_getaffinity(0))
  workers = max(1, min(workers, len(cores)))
  return [tuple(cores[number::workers]) for number in range(workers)]
