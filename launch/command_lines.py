# SPDX-License-Identifier: Apache-2.0
"""What all launchers have in common: config in, commands or jobs out."""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Callable, Iterable, Sequence

from data_efficient import interruption
from data_efficient.cli import jobs
from launch import configs

Options = argparse.Namespace


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launcher:
  """One way to run a config.

  Attributes:
    name: of its module.
    description: its documentation.
    add_arguments: to what every launcher takes; the rest is the config's.
    commands: what --dry_run prints of the jobs, a line each.
    run: runs them.
  """

  name: str
  description: str
  add_arguments: Callable[[argparse.ArgumentParser], None]
  commands: Callable[[Options, Sequence[jobs.Job]], Iterable[str]]
  run: Callable[[Options, Sequence[jobs.Job]], None]


def main(launcher: Launcher, argv: Sequence[str] | None) -> int:
  """The exit code: 2 for a mistake of the user's, or a job that failed."""
  parser = argparse.ArgumentParser(
    prog=f"launch.{launcher.name}",
    description=launcher.description,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument("config", type=pathlib.Path)
  parser.add_argument("--dry_run", action="store_true", help="print commands")
  launcher.add_arguments(parser)
  options, rest = parser.parse_known_args(argv)
  try:
    found = configs.load(options.config, rest)
    if options.dry_run:
      print("\n".join(launcher.commands(options, found)))
      return 0
    with interruption.raised():
      launcher.run(options, found)
  except ValueError as error:
    print(f"{options.config}: {error}", file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    print("stopped; the same command goes on from here", file=sys.stderr)
    return 130
  return 0
