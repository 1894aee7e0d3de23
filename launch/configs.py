# SPDX-License-Identifier: Apache-2.0
"""Reads a config of configs/: its `jobs()`, with --NAME=VALUE for arguments."""

import argparse
import importlib.util
import inspect
import pathlib
from collections.abc import Callable, Sequence

from data_efficient.cli import jobs


class ConfigError(ValueError):
  """A config or an argument that is not there."""


def parser(name: str, description: str) -> argparse.ArgumentParser:
  """The arguments that every launcher takes; the rest is the config's."""
  made = argparse.ArgumentParser(
    prog=f"launch.{name}",
    description=description,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  made.add_argument("config", type=pathlib.Path)
  made.add_argument("--dry_run", action="store_true", help="print the commands")
  return made


def load(config: pathlib.Path, words: Sequence[str]) -> list[jobs.Job]:
  """The jobs of a config.

  Args:
    config: a Python file with a function `jobs`.
    words: `--NAME=VALUE` each, arguments of `jobs`.

  Raises:
    ConfigError: no such file, no `jobs` in it, an unknown or missing argument;
      says which there are.
  """
  arguments = {}
  for word in words:
    name, separator, value = word.removeprefix("--").partition("=")
    if not separator or not word.startswith("--"):
      raise ConfigError(f"{word}: expected --NAME=VALUE")
    arguments[name] = value
  function = _function(config)
  _check(function, arguments)
  return function(**arguments)


def output(found: Sequence[jobs.Job]) -> str:
  """Where logs go: the directory that the last job writes to.

  Raises:
    ConfigError: no jobs.
  """
  if not found:
    raise ConfigError("the config has no jobs")
  last = found[-1].bindings
  return str(last.get("EXPERIMENT", last.get("OUTPUT")))


def _function(config: pathlib.Path) -> Callable[..., list[jobs.Job]]:
  if not config.is_file():
    beside = sorted(pathlib.Path("configs").glob("*.py"))
    names = [str(path) for path in beside if path.stem != "__init__"]
    raise ConfigError(f"no such config; there are {', '.join(names)}")
  module = importlib.util.module_from_spec(
    spec := importlib.util.spec_from_file_location(config.stem, config)
  )
  spec.loader.exec_module(module)
  if not callable(getattr(module, "jobs", None)):
    raise ConfigError("it defines no function jobs()")
  return module.jobs


def _check(function: Callable, arguments: dict[str, str]) -> None:
  wanted = inspect.signature(function).parameters
  needed = {name for name, p in wanted.items() if p.default is p.empty}
  for wrong, words in (
    (sorted(set(arguments) - set(wanted)), "unknown"),
    (sorted(needed - set(arguments)), "missing"),
  ):
    if wrong:
      raise ConfigError(
        f"--{wrong[0]} is {words}; it takes "
        + ", ".join(f"--{name}" for name in wanted)
      )
