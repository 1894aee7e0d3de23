# SPDX-License-Identifier: Apache-2.0
"""One verb on several processes: how they find each other, and wait.

The same command is started once a process. Who is who comes from the
environment and not from gin: it is no part of what is computed, and another
machine may go on with what one began.

  DATA_EFFICIENT_PROCESSES=auto              TPU pods, Slurm, Open MPI, GKE
  DATA_EFFICIENT_PROCESSES=1/4@host:1234     process 1 (of 0 to 3); process 0
                                             listens on host:1234
"""

import contextlib
import contextvars
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

import jax

Item = TypeVar("Item")

VARIABLE = "DATA_EFFICIENT_PROCESSES"
_FORM = re.compile(r"(\d+)/(\d+)@(.+:\d+)")
# Whoever is first at the end waits for the last.
_PATIENCE_MS = 7 * 24 * 3600 * 1000
_barriers = itertools.count()
_inside: contextvars.ContextVar[bool] = contextvars.ContextVar(
  "inside", default=False
)


class ProcessesError(ValueError):
  """The environment does not say which process this is."""


def join() -> None:
  """Joins the run's other processes; before JAX is asked for its devices.

  Does nothing where the variable is not set, or when called again.

  Raises:
    ProcessesError: a value of another form, or an index out of range.
  """
  value = os.environ.get(VARIABLE, "")
  if not value or jax.distributed.is_initialized():
    return
  if value == "auto":
    jax.distributed.initialize()
    return
  found = _FORM.fullmatch(value)
  if not found or int(found[1]) >= int(found[2]):
    raise ProcessesError(
      f"{VARIABLE}={value}: expected auto, or INDEX/COUNT@HOST:PORT with INDEX"
      " from 0 to COUNT - 1"
    )
  jax.distributed.initialize(
    coordinator_address=found[3],
    num_processes=int(found[2]),
    process_id=int(found[1]),
  )


def count() -> int:
  """How many processes there are; 1 without others."""
  return jax.process_count() if jax.distributed.is_initialized() else 1


def index() -> int:
  """Which of them this one is, from 0."""
  return jax.process_index() if jax.distributed.is_initialized() else 0


def is_first() -> bool:
  """Whether this process writes logs and records; one in each run does."""
  return index() == 0


def share(items: Sequence[Item]) -> Sequence[Item]:
  """This process's of some items that all processes list alike: neighbours."""
  own, of = index(), count()
  return items[len(items) * own // of : len(items) * (own + 1) // of]


def wait(label: str) -> None:
  """Returns when all processes have come here; at once without others.

  Args:
    label: for the message if one of them does not come.
  """
  if count() > 1:
    from orbax.checkpoint import multihost

    multihost.get_barrier_sync_fn()(
      key=f"{label}:{next(_barriers)}", timeout_ms=_PATIENCE_MS
    )


@contextlib.contextmanager
def first_alone(label: str) -> Iterator[None]:
  """The first process runs the block, then the others do, at once.

  For what one process makes and all read: the others find it made. Inside
  another such block this does nothing.
  """
  join()
  if _inside.get():
    yield
    return
  if not is_first():
    wait(label)
  token = _inside.set(True)
  try:
    yield
  finally:
    _inside.reset(token)
  if is_first():
    wait(label)
