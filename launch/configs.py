# SPDX-License-Identifier: Apache-2.0
"""Reads a config of configs/: its `jobs()`, with --NAME=VALUE for arguments."""

import dataclasses
import difflib
import importlib.util
import inspect
import pathlib
import shlex
from collections.abc import Callable, Mapping, Sequence

from data_efficient import gin_config
from data_efficient.cli import jobs

_MACRO = "gin."
_NO_CONFIGS = ("__init__", "chains", "downstream")


class ConfigError(ValueError):
  """A config or an argument that is not there."""


def load(config: pathlib.Path, words: Sequence[str]) -> list[jobs.Job]:
  """The jobs of a config.

  An argument of `jobs` whose type is a dataclass stands for its fields;
  `macros` takes each --gin.NAME=VALUE; `output` is out/NAME where nobody says
  otherwise.

  Args:
    config: a Python file with a function `jobs`.
    words: `--NAME=VALUE` each, arguments of `jobs`.

  Raises:
    ConfigError: no such file, no `jobs` in it, an unknown or missing argument,
      a value of another type; says which there are.
  """
  given: dict[str, str] = {}
  macros: dict[str, str] = {}
  for word in words:
    name, separator, value = word.removeprefix("--").partition("=")
    if not separator or not word.startswith("--"):
      raise ConfigError(f"{word}: expected --NAME=VALUE")
    if name.startswith(_MACRO):
      macros[name.removeprefix(_MACRO)] = value
    else:
      given[name] = value
  function = _function(config)
  given.setdefault("output", f"out/{config.stem}")
  found = function(**_arguments(function, given, macros))
  command = ["python", "-m", "launch.local", str(config), *words]
  return [_reproduced_by(job, shlex.join(command)) for job in found]


def output(found: Sequence[jobs.Job]) -> str:
  """Where logs go: the directory that the last job writes to.

  Raises:
    ConfigError: no jobs.
  """
  if not found:
    raise ConfigError("the config has no jobs")
  last = found[-1].bindings
  return str(last.get("EXPERIMENT", last.get("OUTPUT")))


def _reproduced_by(job: jobs.Job, command: str) -> jobs.Job:
  if "COMMAND" not in job.bindings:
    return job
  bindings = {**job.bindings, "COMMAND": command}
  return dataclasses.replace(job, bindings=bindings)


def _function(config: pathlib.Path) -> Callable[..., list[jobs.Job]]:
  # From the working directory, then from the repository's root, as gin files.
  paths = [p for p in (config, gin_config.ROOT / config) if p.is_file()]
  if not paths:
    beside = sorted(gin_config.ROOT.glob("configs/*.py"))
    names = [path.stem for path in beside if path.stem not in _NO_CONFIGS]
    near = difflib.get_close_matches(config.stem, names, n=1)
    raise ConfigError(
      "no such config"
      + (f" (did you mean configs/{near[0]}.py?)" if near else "")
      + "; there are "
      + ", ".join(f"configs/{name}.py" for name in names)
    )
  module = importlib.util.module_from_spec(
    spec := importlib.util.spec_from_file_location(config.stem, paths[0])
  )
  spec.loader.exec_module(module)
  if not callable(getattr(module, "jobs", None)):
    raise ConfigError("it defines no function jobs()")
  return module.jobs


def _arguments(
  function: Callable, given: Mapping[str, str], macros: Mapping[str, str]
) -> dict[str, object]:
  """What to call `jobs` with."""
  parameters = inspect.signature(function).parameters
  groups = {
    name: {field.name: field for field in dataclasses.fields(p.annotation)}
    for name, p in parameters.items()
    if dataclasses.is_dataclass(p.annotation)
  }
  own = {
    name: p
    for name, p in parameters.items()
    if name not in groups and name != "macros"
  }
  flat = {
    **own,
    **{n: f for fields in groups.values() for n, f in fields.items()},
  }
  given = dict(given)
  if "output" not in flat:
    del given["output"]
  _check(flat, given)
  if macros and "macros" not in parameters:
    raise ConfigError(f"--gin.{min(macros)}: it takes no gin macros")
  values = {name: _value(flat[name], name, v) for name, v in given.items()}
  made: dict[str, object] = {n: v for n, v in values.items() if n in own}
  for name, fields in groups.items():
    made[name] = parameters[name].annotation(
      **{n: v for n, v in values.items() if n in fields}
    )
  return made | ({"macros": macros} if "macros" in parameters else {})


def _check(flat: Mapping[str, object], given: Mapping[str, str]) -> None:
  needed = [name for name, argument in flat.items() if _is_needed(argument)]
  takes = "it takes " + ", ".join(f"--{name}" for name in flat)
  for name in given:
    if name not in flat:
      near = difflib.get_close_matches(name, flat, n=1)
      hint = f" (did you mean --{near[0]}?)" if near else ""
      raise ConfigError(f"--{name} is unknown{hint}; {takes}")
  for name in needed:
    if name not in given:
      raise ConfigError(f"--{name} is missing; {takes}")


def _is_needed(argument) -> bool:
  if isinstance(argument, dataclasses.Field):
    return argument.default is dataclasses.MISSING
  return argument.default is argument.empty


def _value(argument, name: str, text: str) -> object:
  if isinstance(argument, dataclasses.Field):
    wanted = argument.type
  else:
    wanted = argument.annotation
  if wanted not in (int, float):
    return text
  try:
    return wanted(text.replace("_", ""))
  except ValueError:
    raise ConfigError(
      f"--{name}={text}: expected a number ({wanted.__name__})"
    ) from None
