# SPDX-License-Identifier: Apache-2.0
"""Jobs on Vertex AI: an image of this repository, and what each job asks for.

Imports XManager. An image is built by Docker where it is installed, else by
Google Cloud Build.
"""

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence

from google.auth import exceptions
from xmanager import xm, xm_local
from xmanager.cloud import auth, vertex

from data_efficient import gin_config
from data_efficient.cli import attempts
from data_efficient.cli import job as job_files
from launch import accelerators, xm_units

_NAME = "data-efficient"
_COPIED = ("data_efficient", "gin")
_COPIED_FILES = ("Makefile", "constraints.txt", "pyproject.toml", "setup.py")
_T5X = "gin/engines/t5x.gin"


class VertexError(ValueError):
  """An account, or a machine, that Vertex AI does not have."""


def check_account() -> None:
  """Raises VertexError without credentials, a project or a bucket."""
  try:
    project = auth.get_project_name()
  except exceptions.GoogleAuthError as error:
    raise VertexError(
      f"no account: run gcloud auth application-default login ({error})"
    ) from error
  if not project:
    raise VertexError("no project: run gcloud config set project PROJECT")
  try:
    auth.get_bucket()
  except ValueError as error:
    raise VertexError(f"no bucket: {error}") from error


def requirements(
  job: job_files.Job,
  accelerator: accelerators.Accelerator | None,
  *,
  cpus: int,
  memory_gib: int,
) -> xm.JobRequirements:
  """What a job asks for: an accelerator where it computes.

  Raises:
    VertexError: no machine has that.
  """
  asked: dict[str, int] = {}
  if accelerator and job.computes:
    asked[accelerator.name] = accelerator.count
  if not (accelerator and accelerator.is_tpu and job.computes):
    asked |= {"cpu": cpus, "ram": memory_gib * xm.GiB}
  found = xm.JobRequirements(**asked)
  try:
    vertex.get_machine_spec(
      xm.Job(executable=None, executor=xm_local.Vertex(requirements=found))
    )
  except ValueError as error:
    raise VertexError(f"{job.name}: {error}") from error
  return found


def container(
  jobs: Sequence[job_files.Job],
  accelerator: accelerators.Accelerator | None,
  *,
  path: str,
  base_image: str,
) -> xm.Packageable:
  """The image that all jobs run in.

  Args:
    jobs: all that it is for.
    accelerator: whose libraries it needs.
    path: directory of the repository's copy.
    base_image: with Python 3.11 and apt-get.
  """
  extra = "tpu" if accelerator and accelerator.is_tpu else "gpu"
  name = pathlib.Path(path).name
  instructions = [
    "RUN apt-get update && apt-get install --yes git make",
    f"COPY {name} /{_NAME}",
    f"WORKDIR /{_NAME}",
    "RUN make .venv/core",
  ]
  if accelerator:
    instructions.append(
      "RUN .venv/bin/python -m pip install --constraint constraints.txt "
      f"--editable .[{extra}]"
    )
  if any(_T5X in job.gin_files for job in jobs):
    instructions.append("RUN make t5x")
  return xm.python_container(
    executor_spec=xm_local.Vertex.Spec(),
    entrypoint=xm.CommandList([".venv/bin/python -m data_efficient"]),
    path=path,
    base_image=base_image,
    docker_instructions=instructions,
  )


@contextlib.contextmanager
def copied() -> Iterator[str]:
  """A directory with what an image needs of this repository, and no more."""
  with tempfile.TemporaryDirectory() as made:
    target = pathlib.Path(made, _NAME)
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in _COPIED:
      source = gin_config.ROOT / folder
      shutil.copytree(source, target / folder, ignore=ignored)
    for file in _COPIED_FILES:
      shutil.copy(gin_config.ROOT / file, target)
    yield str(target)


class OnVertex:
  """Every job is a custom job of Vertex AI."""

  def __init__(
    self,
    made: xm_units.Experiment,
    jobs: Sequence[job_files.Job],
    accelerator: accelerators.Accelerator | None,
    *,
    cpus: int,
    memory_gib: int,
    base_image: str,
  ):
    """Builds the image.

    Raises:
      VertexError: no machine has what the jobs ask for.
    """
    self._experiment = made
    self._asked = {
      job.name: requirements(job, accelerator, cpus=cpus, memory_gib=memory_gib)
      for job in jobs
    }
    with copied() as path:
      self._image = made.package(
        container(jobs, accelerator, path=path, base_image=base_image)
      )

  def slots(self, workers: int) -> list[attempts.Cores]:
    """So many at once; none has cores here."""
    return [()] * max(1, workers)

  def start(
    self, job: job_files.Job, place: attempts.Place
  ) -> attempts.Attempt:
    """Submits the job."""
    unit = self._experiment.add(
      xm.Job(
        executable=self._image,
        executor=xm_local.Vertex(requirements=self._asked[job.name]),
        name=job.name,
        args=job.words(),
      )
    )
    return _Submitted(unit, place.log)


class _Submitted:
  """An attempt whose log is in the cloud; here is what XManager says of it."""

  def __init__(self, unit: xm_units.Unit, log: pathlib.Path):
    self._unit = unit
    self._log = log
    self._has_logged = False

  def poll(self) -> int | None:
    if not self._unit.has_ended():
      return None
    if self._unit.error() is None:
      return 0
    if not self._has_logged:
      self._has_logged = True
      with self._log.open("a") as stream:
        stream.write(f"{self._unit.error()}\n")
    # Vertex AI does not say what a container exited with.
    return 1

  def outcome(self) -> str:
    return "Vertex AI says that it failed"

  def terminate(self) -> None:
    self._unit.stop()

  def kill(self) -> None:
    """Nothing more can be asked for."""
