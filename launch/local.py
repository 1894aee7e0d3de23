# SPDX-License-Identifier: Apache-2.0
"""Runs the jobs of a config on this machine; what is done is skipped.

  python -m launch.local configs/NAME.py [--NAME=VALUE …] [--workers=N]
  python -m launch.local configs/NAME.py --dry_run …

Every --NAME=VALUE is an argument of the config's `jobs()`.
"""

import argparse
import sys
from collections.abc import Sequence

from data_efficient.cli import jobs
from launch import command_lines, configs


def _arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument("--workers", type=int, default=1)


def _commands(
  options: command_lines.Options, found: Sequence[jobs.Job]
) -> list[str]:
  del options
  return [job.command() for job in found]


def _run(options: command_lines.Options, found: Sequence[jobs.Job]) -> None:
  jobs.run(found, directory=configs.output(found), workers=options.workers)


def main(argv: Sequence[str] | None = None) -> int:
  """The exit code: 2 for a mistake of the user's, or a job that failed."""
  launcher = command_lines.Launcher(
    name="local",
    description=__doc__,
    add_arguments=_arguments,
    commands=_commands,
    run=_run,
  )
  return command_lines.main(launcher, argv)


if __name__ == "__main__":
  sys.exit(main())
