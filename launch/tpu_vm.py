# SPDX-License-Identifier: Apache-2.0
"""Runs the jobs of a config on a TPU VM slice, every worker the same command.

  python -m launch.tpu_vm configs/NAME.py [--NAME=VALUE …] --slice=NAME \
    --zone=us-central2-b --accelerator=v4-32 --runtime=tpu-ubuntu2204-base

Of a slice that is preempted a new one is made, and the job resumes there. The
config's `output` must be where all workers and later slices can read it; the
repository and its environment are in --directory on every worker.
"""

import dataclasses
import pathlib
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence

from data_efficient.cli import job as job_files
from data_efficient.cli import jobs
from launch import configs

_GONE = ("SUSPENDED", "SUSPENDING", "FAILED", "DELETING")
_POLL_SECONDS = 10


class SliceError(ValueError):
  """A slice that cannot be had."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slice:
  """A queued resource with one node of the same name."""

  name: str
  zone: str
  accelerator: str
  runtime: str
  directory: str

  def __post_init__(self):
    """Raises SliceError for TPU v2 and v3."""
    if self.accelerator.startswith(("v2-", "v3-")):
      raise SliceError(
        f"--accelerator={self.accelerator}: v4 and newer only; v2 and v3 are "
        "for Vertex AI by XManager"
      )

  def _gcloud(self, verb: str, *words: str) -> list[str]:
    begin = ["gcloud", "compute", "tpus", "queued-resources", verb, self.name]
    return [*begin, f"--zone={self.zone}", *words]

  def create(self) -> list[str]:
    """Asks for the slice."""
    return self._gcloud(
      "create",
      f"--node-id={self.name}",
      f"--accelerator-type={self.accelerator}",
      f"--runtime-version={self.runtime}",
    )

  def describe(self) -> list[str]:
    """Prints its state."""
    return self._gcloud("describe", "--format=value(state.state)")

  def delete(self) -> list[str]:
    """Gives it back."""
    return self._gcloud("delete", "--force", "--quiet")

  def ssh(self, job: jobs.Job) -> list[str]:
    """One job, on every worker."""
    remote = shlex.join(["cd", self.directory])
    command = f"{remote} && {job.command()}"
    return self._gcloud("ssh", "--worker=all", f"--command={command}")


def run(found: Sequence[jobs.Job], where: Slice, root: pathlib.Path) -> None:
  """One job after another; done/ and logs/ are in `root`.

  Raises:
    JobError: jobs failed; those that do not need them were run.
    SliceError: gcloud refused the slice.
  """
  for name in ("logs", "done"):
    (root / name).mkdir(parents=True, exist_ok=True)
  # What they leave is not on this machine.
  far = [dataclasses.replace(job, leaves=()) for job in found]
  waiting = {j.name: j for j in far if not job_files.is_done(j, root)}
  failures = job_files.Failures()
  while waiting:
    job = waiting.pop(next(iter(waiting)))
    log = root / "logs" / f"{job.name}.log"
    code, attempts = _tried(job, where, log)
    if code:
      outcome = f"exit {code}"
      if code == 255:
        outcome += f": the ssh hosts of {where.name} do not answer"
      failures.add(job, waiting, outcome, log, attempts)
    else:
      job_files.mark_done(job, root)
  failures.check()


def _tried(job: jobs.Job, where: Slice, log: pathlib.Path) -> tuple[int, int]:
  """Exit code of the last attempt, and how many there were."""
  log.write_text("")
  attempts = 0
  code = None
  while code not in (0, job_files.MISTAKE) and attempts < job_files.ATTEMPTS:
    attempts += 1
    _have(where)
    with log.open("a") as stream:
      code = subprocess.run(
        where.ssh(job), stdout=stream, stderr=subprocess.STDOUT, check=False
      ).returncode
  return code, attempts


def _have(where: Slice) -> None:
  """Waits until the slice is active; makes it where it is not there."""
  while (state := _state(where)) != "ACTIVE":
    if state in _GONE:
      _call(where.delete())
    if not state or state in _GONE:
      _call(where.create())
    else:
      time.sleep(_POLL_SECONDS)


def _state(where: Slice) -> str:
  """Its state; empty where there is no such slice."""
  ended = subprocess.run(
    where.describe(), capture_output=True, text=True, check=False
  )
  return "" if ended.returncode else ended.stdout.strip()


def _call(argv: list[str]) -> None:
  ended = subprocess.run(argv, capture_output=True, text=True, check=False)
  if ended.returncode:
    raise SliceError(f"{shlex.join(argv)}: {ended.stderr.strip()}")


def main(argv: Sequence[str] | None = None) -> int:
  """The exit code: 2 for a mistake of the user's, or a job that failed."""
  parser = configs.parser("tpu_vm", __doc__)
  parser.add_argument("--slice", default="data-efficient")
  parser.add_argument("--zone", default="us-central2-b")
  parser.add_argument("--accelerator", default="v4-8")
  parser.add_argument("--runtime", default="tpu-ubuntu2204-base")
  parser.add_argument("--directory", default="data-efficient")
  options, rest = parser.parse_known_args(argv)
  try:
    found = configs.load(options.config, rest)
    where = Slice(
      name=options.slice,
      zone=options.zone,
      accelerator=options.accelerator,
      runtime=options.runtime,
      directory=options.directory,
    )
    if options.dry_run:
      commands = [where.create(), where.describe(), *map(where.ssh, found)]
      print("\n".join(map(shlex.join, commands)))
    else:
      root = pathlib.Path("out/launch", options.slice, options.config.stem)
      run(found, where, root)
  except FileNotFoundError as error:
    print(f"{error.filename} is not installed", file=sys.stderr)
    return 2
  except ValueError as error:
    print(f"{options.config}: {error}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())
