# SPDX-License-Identifier: Apache-2.0
"""The only module that imports gin: parse files and flags, refuse mistakes.

On top of gin: a macro that is bound but never read (a misspelt name) and a
`%gin.REQUIRED` that nobody set are errors that name the macro and the file.
"""

import difflib
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence

try:
  import gin
  from gin import config as _gin
except ImportError as error:  # the folder gin/ is importable as a namespace
  raise ImportError(
    "gin-config is not installed: run `make quickstart` or "
    "`pip install -e . -c constraints.txt`"
  ) from error

ROOT = pathlib.Path(__file__).resolve().parent.parent


class GinError(ValueError):
  """A gin file or a --gin flag that cannot mean what was intended."""


def parse(gin_files: Sequence[str], bindings: Sequence[str] = ()) -> None:
  """Makes `gin_files`, then `bindings`, the configuration of this process.

  Args:
    gin_files: paths, looked up from the working directory, then from the
      repository's root; a later file overrides an earlier one.
    bindings: `NAME=VALUE` each. A value that is not gin syntax is a string,
      so that `OUTPUT=out/x` needs no quotes.

  Raises:
    GinError: an unreadable file, an unknown name, a macro that nothing reads,
      a required value that nobody set.
  """
  _reset()
  files = []
  for gin_file in gin_files:
    try:
      files += _names(gin.parse_config_file(gin_file))
    except OSError as error:
      raise GinError(f"gin file {gin_file} not found: {error}") from error
    except (ValueError, SyntaxError, TypeError, AttributeError) as error:
      raise GinError(f"gin file {gin_file}: {error}") from error
  for binding in bindings:
    _bind(binding)
  _check_macros(files)
  try:
    gin.finalize()
  except ValueError as error:
    raise GinError(_required(str(error), files)) from error


def configured(function: Callable) -> Callable:
  """`function` with the arguments that the configuration binds."""
  try:
    return gin.get_configurable(function)
  except ValueError as error:
    raise GinError(
      f"no gin file configures {function.__module__}.{function.__name__}: "
      "give --gin_file=gin/runs/….gin"
    ) from error


def resolved() -> str:
  """The whole configuration as gin text: what a run directory keeps."""
  return gin.config_str()


def _reset() -> None:
  gin.clear_config()
  # gin keeps the search path over clear_config: enter the root once.
  if str(ROOT) not in _gin._LOCATION_PREFIXES:
    gin.add_config_file_search_path(str(ROOT))


def _names(parsed) -> Iterator[str]:
  yield parsed.filename
  for included in parsed.includes:
    yield from _names(included)


def _bind(binding: str) -> None:
  name, separator, value = binding.partition("=")
  name, value = name.strip(), value.strip()
  if not separator or not name:
    raise GinError(f"--gin.{binding}: expected --gin.NAME=VALUE")
  try:
    _gin.parse_value(value)
  except (SyntaxError, ValueError):
    value = repr(value)
  try:
    gin.parse_config(f"{name} = {value}")
  except (ValueError, SyntaxError) as error:
    raise GinError(f"--gin.{binding}: {error}") from error


def _check_macros(files: Sequence[str]) -> None:
  macro = gin.get_configurable("gin.macro")
  bound = {scope for scope, name in _gin._CONFIG if name == "gin.macro"}
  references = _gin.iterate_references(_gin._CONFIG, to=macro)
  read = {reference.config_key[0] for reference in references}
  unread, unbound = sorted(bound - read), sorted(read - bound)
  if unread:
    near = difflib.get_close_matches(unread[0], read, n=1)
    raise GinError(
      f"macro {unread[0]} ({_where(unread[0], files)}) is bound, but nothing "
      f"reads it{f': did you mean {near[0]}?' if near else ''}. Macros read "
      f"here: {', '.join(sorted(read))}"
    )
  if unbound:
    raise GinError(
      f"macro %{unbound[0]} ({_where(unbound[0], files, '%')}) has no value: "
      f"give --gin.{unbound[0]}=… or a gin file that binds it"
    )


def _required(message: str, files: Sequence[str]) -> str:
  found = re.match(r"(\S+)/\S*macro\.value set to `%gin.REQUIRED`", message)
  if not found:
    return message
  name = found.group(1)
  return (
    f"{name} ({_where(name, files)}) is required: give --gin.{name}=… or a "
    "gin file that binds it"
  )


def _where(macro: str, files: Sequence[str], sign: str = "") -> str:
  pattern = re.compile(
    rf"%{macro}\b" if sign else rf"^{macro}\s*=", re.MULTILINE
  )
  for name in reversed(files):
    for root in (pathlib.Path(), ROOT):
      path = root / name
      if path.is_file() and pattern.search(path.read_text()):
        return name
  return f"--gin.{macro}"
