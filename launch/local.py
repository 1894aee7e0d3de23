# SPDX-License-Identifier: Apache-2.0
"""Runs the jobs of a config on this machine; what is done is skipped.

  python -m launch.local configs/NAME.py [--NAME=VALUE …] [--workers=N]
  python -m launch.local configs/NAME.py --dry_run …

Every --NAME=VALUE is an argument of the config's `jobs()`.
"""

import argparse
import importlib.util
import inspect
import pathlib
import sys
from collections.abc import Callable, Sequence

from data_efficient.cli import jobs


def main(argv: Sequence[str] | None = None) -> int:
  """The exit code: 2 for a mistake of the user's, or a job that failed."""
  parser = argparse.ArgumentParser(
    prog="launch.local",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument("config", type=pathlib.Path)
  parser.add_argument("--workers", type=int, default=1)
  parser.add_argument(
    "--dry_run", action="store_true", help="print the commands"
  )
  options, rest = parser.parse_known_args(argv)
  try:
    found = _jobs(options.config, rest)
    if options.dry_run:
      print("\n".join(job.command() for job in found))
    else:
      jobs.run(found, directory=_output(found), workers=options.workers)
  except ValueError as error:
    print(f"{options.config}: {error}", file=sys.stderr)
    return 2
  return 0


def _jobs(config: pathlib.Path, words: Sequence[str]) -> list[jobs.Job]:
  if not config.is_file():
    raise ValueError("no such config")
  module = importlib.util.module_from_spec(
    spec := importlib.util.spec_from_file_location(config.stem, config)
  )
  spec.loader.exec_module(module)
  arguments = {}
  for word in words:
    name, separator, value = word.removeprefix("--").partition("=")
    if not separator or not word.startswith("--"):
      raise ValueError(f"{word}: expected --NAME=VALUE")
    arguments[name] = value
  _check(module.jobs, arguments)
  return module.jobs(**arguments)


def _check(function: Callable, arguments: dict[str, str]) -> None:
  wanted = inspect.signature(function).parameters
  needed = {name for name, p in wanted.items() if p.default is p.empty}
  for wrong, words in (
    (sorted(set(arguments) - set(wanted)), "unknown"),
    (sorted(needed - set(arguments)), "missing"),
  ):
    if wrong:
      raise ValueError(
        f"--{wrong[0]} is {words}; it takes "
        + ", ".join(f"--{name}" for name in wanted)
      )


def _output(found: Sequence[jobs.Job]) -> str:
  """Where logs go: the directory that the last job writes to."""
  return str(found[-1].bindings["OUTPUT"])


if __name__ == "__main__":
  sys.exit(main())
