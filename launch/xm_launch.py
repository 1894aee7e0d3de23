# SPDX-License-Identifier: Apache-2.0
"""Runs the jobs of a config as work units of an XManager experiment.

  python -m launch.xm_launch configs/NAME.py [--NAME=VALUE …] [--workers=N]
  python -m launch.xm_launch configs/NAME.py --on=vertex \
    --accelerator=tpu_v3=8 --output=/gcs/BUCKET/NAME …

--on=local starts processes on this machine, without Docker. --on=vertex builds
an image of the repository and submits each job to Vertex AI when those that it
needs are done: TPU v2 and v3, and GPUs. There the config's paths are those of
the containers, which have Cloud Storage under /gcs. --xm_NAME=VALUE are
XManager's own flags. Needs the extra `xm`; --dry_run does not.
"""

import argparse
import functools
import importlib.util
import pathlib
import sys
from collections.abc import Sequence

from data_efficient.cli import job as job_files
from data_efficient.cli import jobs
from launch import accelerators, command_lines, configs

_VERTEX = "vertex"


class XManagerError(ValueError):
  """XManager is not installed."""


def _arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument("--on", choices=("local", _VERTEX), default="local")
  parser.add_argument("--workers", type=int, default=1, help="jobs at once")
  parser.add_argument(
    "--accelerator", default="", help="of jobs that compute: NAME=COUNT"
  )
  parser.add_argument("--cpus", type=int, default=8, help="on Vertex AI")
  parser.add_argument("--memory_gib", type=int, default=30)
  parser.add_argument("--base_image", default="python:3.11")


def _commands(
  options: command_lines.Options, found: Sequence[job_files.Job]
) -> list[str]:
  if options.on != _VERTEX:
    return [job.command() for job in found]
  accelerator = accelerators.parse(options.accelerator)
  machine = f"cpu={options.cpus},ram={options.memory_gib}GiB"
  return [
    f"{accelerator if accelerator and job.computes else machine} "
    f"{job.command()}"
    for job in found
  ]


def _run(
  flags: Sequence[str],
  options: command_lines.Options,
  found: Sequence[job_files.Job],
) -> None:
  if importlib.util.find_spec("xmanager") is None:
    raise XManagerError(
      "XManager is not installed: run make xm, or "
      "pip install -e '.[xm]' -c constraints.txt"
    )
  if options.on == _VERTEX:
    _run_on_vertex(flags, options, found)
  else:
    _run_here(flags, options, found)


def _run_here(flags, options, found: Sequence[job_files.Job]) -> None:
  from launch import xm_units

  with xm_units.experiment(options.config.stem, flags) as made:
    jobs.run(
      found,
      directory=configs.output(found),
      workers=options.workers,
      runner=xm_units.Here(made),
    )


def _run_on_vertex(flags, options, found: Sequence[job_files.Job]) -> None:
  accelerator = accelerators.parse(options.accelerator)
  from launch import xm_units, xm_vertex

  with xm_units.experiment(options.config.stem, flags) as made:
    xm_vertex.check_account()
    runner = xm_vertex.OnVertex(
      made,
      found,
      accelerator,
      cpus=options.cpus,
      memory_gib=options.memory_gib,
      base_image=options.base_image,
    )
    jobs.run(
      job_files.elsewhere(found),
      directory=str(pathlib.Path("out/launch", _VERTEX, options.config.stem)),
      workers=options.workers,
      runner=runner,
    )


def main(argv: Sequence[str] | None = None) -> int:
  """The exit code: 2 for a mistake of the user's, or a job that failed."""
  words = sys.argv[1:] if argv is None else argv
  flags = [word for word in words if word.startswith("--xm_")]
  launcher = command_lines.Launcher(
    name="xm_launch",
    description=__doc__,
    add_arguments=_arguments,
    commands=_commands,
    run=functools.partial(_run, flags),
  )
  return command_lines.main(launcher, [w for w in words if w not in flags])


if __name__ == "__main__":
  sys.exit(main())
