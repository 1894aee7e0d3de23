# SPDX-License-Identifier: Apache-2.0
"""TPU VM slices through queued resources: what gcloud is asked, and when.

The flags are those of `gcloud compute tpus queued-resources` {create, describe,
delete} and of `gcloud compute tpus tpu-vm ssh`.
"""

import dataclasses
import pathlib
import shlex
import subprocess
import threading
import time
from collections.abc import Sequence

from data_efficient import processes
from data_efficient.cli import attempts, jobs

# Of an accelerator type, what stands before its size: its runtime.
_RUNTIMES = {
  "v4": "tpu-ubuntu2204-base",
  "v5litepod": "v2-alpha-tpuv5-lite",
  "v5p": "v2-alpha-tpuv5",
  "v6e": "v2-alpha-tpuv6e",
}
_ELSEWHERE = {
  "v2": "v4 and newer only; for v2 and v3 use launch.xm_launch --on=vertex",
  "v3": "v4 and newer only; for v2 and v3 use launch.xm_launch --on=vertex",
  "v5e": "gcloud calls a v5e slice v5litepod-SIZE",
  "tpu7x": "TPU7x has no queued resources, only GKE",
}
_POLL_SECONDS = 10.0
# A host that says nothing for so long is given up, not waited for.
_SSH = (
  "--ssh-flag=-oConnectTimeout=60",
  "--ssh-flag=-oServerAliveInterval=60",
  "--ssh-flag=-oServerAliveCountMax=5",
)


class SliceError(ValueError):
  """A slice that gcloud says nothing of, or that cannot be set up."""


class SliceRefused(SliceError):
  """A slice that cannot be had: to ask again changes nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slice:
  """A queued resource with one node of the same name.

  Attributes:
    name: of both.
    zone: where.
    accelerator: type and size: v4-32, v5litepod-16, v5p-8, v6e-8, …
    runtime: software of its VMs; "" for what JAX is used with.
    spot: whether it may be preempted, and costs less.
    directory: of the repository, on every worker.
    python: its interpreter there.
  """

  name: str
  zone: str
  accelerator: str
  runtime: str = ""
  spot: bool = False
  directory: str = "data-efficient"
  python: str = ".venv/bin/python"

  def __post_init__(self):
    """Raises SliceRefused for an accelerator that has no queued resources."""
    family = self.accelerator.partition("-")[0]
    if family not in _RUNTIMES:
      reason = _ELSEWHERE.get(family, "there is no such type")
      raise SliceRefused(
        f"--accelerator={self.accelerator}: {reason}; expected one of "
        f"{', '.join(f'{name}-SIZE' for name in _RUNTIMES)}"
      )

  def _queued(self, verb: str, *words: str) -> list[str]:
    begin = ["gcloud", "compute", "tpus", "queued-resources", verb, self.name]
    return [*begin, f"--zone={self.zone}", *words]

  def create(self) -> list[str]:
    """Asks for the slice."""
    family = self.accelerator.partition("-")[0]
    return self._queued(
      "create",
      f"--node-id={self.name}",
      f"--accelerator-type={self.accelerator}",
      f"--runtime-version={self.runtime or _RUNTIMES[family]}",
      *(["--spot"] if self.spot else []),
      "--quiet",
    )

  def describe(self) -> list[str]:
    """Prints its state."""
    return self._queued("describe", "--format=value(state.state)")

  def delete(self) -> list[str]:
    """Gives it back, with its node."""
    return self._queued("delete", "--force", "--quiet")

  def ssh(self, command: str, *, worker: str = "all") -> list[str]:
    """A command of the shell, on every worker or on one."""
    begin = ["gcloud", "compute", "tpus", "tpu-vm", "ssh", self.name]
    where = [f"--zone={self.zone}", f"--worker={worker}", *_SSH, "--quiet"]
    return [*begin, *where, f"--command={command}"]

  def run(self, job: jobs.Job) -> list[str]:
    """One job: on all workers what they can share, else on the first."""
    if job.computes:
      setting, worker = f"{processes.VARIABLE}=auto", "all"
    else:
      # Alone it would wait for the chips of the others.
      setting, worker = "JAX_PLATFORMS=cpu", "0"
    place = shlex.join(["cd", self.directory])
    verb = shlex.join(["env", setting, *job.argv(self.python)])
    return self.ssh(f"{place} && {verb}", worker=worker)


class Keeper:
  """Has the slice there when a job needs it."""

  def __init__(self, where: Slice, *, setup: str, patience: float):
    """Asks for nothing yet.

    Args:
      where: the slice.
      setup: a command of the shell, on every worker before the first job and
        after each preemption; "" for none.
      patience: seconds that a slice is waited for.
    """
    self.slice = where
    self._setup = setup
    self._patience = patience
    self._is_set_up = False
    self._asked = False
    self._given_up = ""

  def have(self, stopped: threading.Event, log: pathlib.Path) -> None:
    """Returns when the slice is active and set up; makes it if need be.

    Args:
      stopped: to be waited for no longer.
      log: gets the output of what sets it up.

    Raises:
      SliceRefused: gcloud refuses it, or it does not come in time.
      SliceError: gcloud does not answer, or the slice cannot be set up.
    """
    self._asked = True
    self._have_active(stopped)
    while not self._is_set_up:
      self._set_up(log)
      # It may have been preempted meanwhile.
      self._have_active(stopped)

  def _have_active(self, stopped: threading.Event) -> None:
    if self._given_up:
      raise SliceRefused(self._given_up)
    last = time.monotonic() + self._patience
    requested = False
    while (state := self._state()) != "ACTIVE":
      self._is_set_up = False
      if state == "FAILED" and requested:
        raise SliceRefused(
          f"the request for {self.slice.name} failed; what gcloud says of it: "
          + shlex.join(self.slice.describe()[:-1])
        )
      if time.monotonic() > last:
        self._give_up(state)
      if state in ("FAILED", "SUSPENDED"):
        self._call(self.slice.delete())
        state = ""
      if not state:
        self._call(self.slice.create())
        requested = True
      elif stopped.wait(_POLL_SECONDS):
        raise SliceError("stopped while it waited for a slice")

  def is_active(self) -> bool:
    """Whether it is there still.

    Raises:
      SliceError: gcloud does not answer.
    """
    return self._state() == "ACTIVE"

  def give_back(self) -> None:
    """Deletes the slice if it was ever asked for and is there.

    Raises:
      SliceError: gcloud does not.
    """
    if self._asked and self._state():
      self._call(self.slice.delete())

  def _give_up(self, state: str) -> None:
    self._given_up = (
      f"no slice {self.slice.accelerator} in {self.slice.zone} after "
      f"{self._patience / 3600:g} hours (it is {state or 'not there'}): give "
      "more --wait_hours, another --zone or --accelerator, or --spot"
    )
    raise SliceRefused(self._given_up)

  def _set_up(self, log: pathlib.Path) -> None:
    if self._setup:
      argv = self.slice.ssh(self._setup)
      code = attempts.Process(argv, log, (), {}).wait()
      if code and self.is_active():
        raise SliceError(f"--setup failed (exit {code})")
    self._is_set_up = True

  def _state(self) -> str:
    """Its state; empty where there is no such slice."""
    ended = _run(self.slice.describe())
    if ended.returncode and "NOT_FOUND" not in ended.stderr:
      raise SliceError(_failed(self.slice.describe(), ended.stderr))
    return "" if ended.returncode else ended.stdout.strip()

  def _call(self, argv: Sequence[str]) -> None:
    ended = _run(argv)
    if ended.returncode:
      raise SliceRefused(_failed(argv, ended.stderr))


def _run(argv: Sequence[str]) -> subprocess.CompletedProcess:
  return subprocess.run(argv, capture_output=True, text=True, check=False)


def _failed(argv: Sequence[str], words: str) -> str:
  return f"{shlex.join(argv)}: {words.strip()}"
