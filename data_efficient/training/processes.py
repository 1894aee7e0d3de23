# SPDX-License-Identifier: Apache-2.0
"""One run on several processes: how they find each other.

The same command is started once a process. Who is who comes from the
environment and not from gin: it is no part of what a run computes, and another
machine may go on with a run that one began.

  DATA_EFFICIENT_PROCESSES=auto              TPU pods, Slurm, Open MPI, GKE
  DATA_EFFICIENT_PROCESSES=1/4@host:1234     process 1 (of 0 to 3); process 0
                                             listens on host:1234
"""

import os
import re

import jax

VARIABLE = "DATA_EFFICIENT_PROCESSES"
_FORM = re.compile(r"(\d+)/(\d+)@(.+:\d+)")


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


def is_first() -> bool:
  """Whether this process writes logs and records; one in each run does."""
  return jax.process_index() == 0
