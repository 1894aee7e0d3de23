# SPDX-License-Identifier: Apache-2.0
"""Finding T5X; nothing of it is imported before a run starts.

T5X is not on PyPI. `make t5x` installs it; or T5X_PATH names checkouts of
t5x, airio and jestimator.
"""

import importlib
import os
import pathlib
import sys
from types import ModuleType

_CHECKOUTS = ("t5x", "airio", "jestimator")


class T5XError(ValueError):
  """T5X is not there, or cannot do what the run asks."""


def search_path(value: str) -> list[str]:
  """The folders that T5X_PATH adds to Python's search path.

  Args:
    value: checkouts joined by `os.pathsep`, or folders that hold checkouts
      named t5x, airio and jestimator.
  """
  folders = []
  for entry in filter(None, value.split(os.pathsep)):
    inner = [pathlib.Path(entry, name) for name in _CHECKOUTS]
    # A checkout of t5x has a folder t5x too: the package, not a checkout.
    nested = [str(path) for path in inner if (path / path.name).is_dir()]
    folders += nested or [entry]
  return folders


def module(name: str) -> ModuleType:
  """`t5x.<name>`, imported when first asked for.

  Raises:
    T5XError: it, or something that it imports, is not installed.
  """
  for folder in reversed(search_path(os.environ.get("T5X_PATH", ""))):
    if folder not in sys.path:
      sys.path.insert(0, folder)
  try:
    return importlib.import_module(f"t5x.{name}")
  except ModuleNotFoundError as error:
    raise T5XError(
      f"the engine t5x needs the module {error.name}, which is not installed:"
      " run `make t5x`, or set T5X_PATH to checkouts of t5x, airio and"
      " jestimator and `pip install -e '.[t5x]'`; the engine `local` needs"
      " none of them"
    ) from error
