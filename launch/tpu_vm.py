# SPDX-License-Identifier: Apache-2.0
"""Runs the jobs of a config on a TPU VM slice, one after another.

  python -m launch.tpu_vm configs/NAME.py [--NAME=VALUE …] --slice=NAME \
    --zone=us-central2-b --accelerator=v4-32 --setup='git clone … && …'

Verbs that compute get the same command on every worker; the others, which read
and write files, run on the first. A slice that is preempted is made anew, set
up, and the job goes on there; at the end, also of a launch that was stopped, it
is deleted. The config's `output` must be where all workers and later slices can
read it, such as NFS; --setup must leave the repository in --directory of every
worker, with its environment.
"""

import argparse
import pathlib
import shlex
import shutil
import sys
import threading
from collections.abc import Sequence

from data_efficient.cli import attempts, jobs
from data_efficient.cli import job as job_files
from launch import command_lines, slices

_SSH_FAILED = 255
_STOPPED = 143


class OnSlice:
  """Every job is run on the one slice."""

  def __init__(self, keeper: slices.Keeper):
    """Of the slice's keeper."""
    self._keeper = keeper

  def slots(self, workers: int) -> list[attempts.Cores]:
    """One at a time: each job has the whole slice."""
    del workers
    return [()]

  def start(
    self, job: job_files.Job, place: attempts.Place
  ) -> attempts.Attempt:
    """Waits for the slice and runs the job there, in a thread."""
    return _Attempt(job, place.log, self._keeper)


class _Attempt:
  def __init__(
    self, job: job_files.Job, log: pathlib.Path, keeper: slices.Keeper
  ):
    self._log = log
    self._keeper = keeper
    self._argv = keeper.slice.run(job)
    self._stopped = threading.Event()
    self._process: attempts.Process | None = None
    self._code = 1
    self._words = "the launcher failed"
    self._thread = threading.Thread(target=self._follow, daemon=True)
    self._thread.start()

  def _follow(self) -> None:
    try:
      self._code = self._run()
      self._words = f"exit {self._code}"
      if self._code == _SSH_FAILED:
        name = self._keeper.slice.name
        self._words += f": the ssh hosts of {name} do not answer"
    except slices.SliceRefused as error:
      self._code, self._words = job_files.MISTAKE, str(error)
    except slices.SliceError as error:
      self._words = str(error)

  def _run(self) -> int:
    """Its exit code on a slice that was there till its end."""
    while True:
      self._keeper.have(self._stopped, self._log)
      if self._stopped.is_set():
        return _STOPPED
      self._process = attempts.Process(self._argv, self._log, (), {})
      code = self._process.wait()
      if not code or self._stopped.is_set() or self._keeper.is_active():
        return code
      with self._log.open("a") as stream:
        stream.write("the slice was preempted; the job goes on on a new one\n")

  def poll(self) -> int | None:
    return None if self._thread.is_alive() else self._code

  def outcome(self) -> str:
    return self._words

  def terminate(self) -> None:
    self._stopped.set()
    if self._process:
      self._process.terminate()

  def kill(self) -> None:
    if self._process:
      self._process.kill()


def _arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument("--slice", default="data-efficient")
  parser.add_argument("--zone", default="us-central2-b")
  parser.add_argument("--accelerator", default="v4-8")
  parser.add_argument("--runtime", default="", help="default: by accelerator")
  parser.add_argument("--spot", action="store_true", help="preemptible")
  parser.add_argument("--directory", default="data-efficient")
  parser.add_argument("--python", default=".venv/bin/python")
  parser.add_argument(
    "--setup", default="", help="on every worker of a new slice"
  )
  parser.add_argument(
    "--wait_hours", type=float, default=24.0, help="for a slice"
  )
  parser.add_argument(
    "--keep", action="store_true", help="the slice, at the end"
  )


def _slice(options: command_lines.Options) -> slices.Slice:
  return slices.Slice(
    name=options.slice,
    zone=options.zone,
    accelerator=options.accelerator,
    runtime=options.runtime,
    spot=options.spot,
    directory=options.directory,
    python=options.python,
  )


def _commands(
  options: command_lines.Options, found: Sequence[jobs.Job]
) -> list[str]:
  where = _slice(options)
  argvs = [where.create(), where.describe()]
  argvs += [where.ssh(options.setup)] if options.setup else []
  argvs += [where.run(job) for job in found]
  argvs += [] if options.keep else [where.delete()]
  return [shlex.join(argv) for argv in argvs]


def _run(options: command_lines.Options, found: Sequence[jobs.Job]) -> None:
  where = _slice(options)
  if not shutil.which("gcloud"):
    raise slices.SliceError(
      "gcloud is not installed: see https://cloud.google.com/sdk/docs/install"
    )
  keeper = slices.Keeper(
    where, setup=options.setup, patience=options.wait_hours * 3600
  )
  root = pathlib.Path("out/launch", options.slice, options.config.stem)
  try:
    jobs.run(
      job_files.elsewhere(found),
      directory=str(root),
      workers=1,
      runner=OnSlice(keeper),
    )
  finally:
    if not options.keep:
      keeper.give_back()


def main(argv: Sequence[str] | None = None) -> int:
  """The exit code: 2 for a mistake of the user's, or a job that failed."""
  launcher = command_lines.Launcher(
    name="tpu_vm",
    description=__doc__,
    add_arguments=_arguments,
    commands=_commands,
    run=_run,
  )
  return command_lines.main(launcher, argv)


if __name__ == "__main__":
  sys.exit(main())
