# SPDX-License-Identifier: Apache-2.0
"""Imports go down the floors, and heavy libraries stay in their rooms."""

import ast
import subprocess
import sys

import pytest

PACKAGE = "data_efficient"
FLOORS = (
  *("kernels", "models", "scorers", "selection"),
  *("data", "training", "evaluation", "cli"),
)
# Below all floors; and what only the verbs may import.
BASE = ("array_types", "interruption", "processes", "progress")
TOP = ("gin_config", "main", "__main__", "__init__")
# Library -> the only modules that may import it (prefixes).
ROOMS = {
  "gin": ("gin_config",),
  "t5x": ("training.t5x",),
  "seqio": ("data.", "training."),
  "tensorflow": ("data.", "training."),
  "tensorflow_datasets": ("data.",),
}


def _modules(root):
  for path in sorted((root / PACKAGE).rglob("*.py")):
    name = ".".join(path.relative_to(root / PACKAGE).with_suffix("").parts)
    yield name, ast.parse(path.read_text())


def _imports(tree):
  """Names of imported modules, also those imported inside functions."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _floor(name: str) -> int:
  first = name.split(".")[0]
  if first in FLOORS:
    return FLOORS.index(first)
  return -1 if first in BASE else len(FLOORS) - 1


def _climbs(modules):
  for name, tree in modules:
    for imported in _imports(tree):
      if imported.startswith(PACKAGE + "."):
        target = imported.removeprefix(PACKAGE + ".")
        if name not in TOP and _floor(target) > _floor(name):
          yield name, target


def test_no_import_climbs_a_floor(root):
  assert list(_climbs(_modules(root))) == []


def test_a_climb_is_seen():
  inside = ast.parse("def f():\n  from data_efficient.data import tasks\n")
  assert list(_climbs([("scorers.x", inside)])) == [("scorers.x", "data.tasks")]
  assert list(_climbs([("array_types", inside)])) != []


@pytest.mark.parametrize("library", ROOMS)
def test_a_library_stays_in_its_room(root, library):
  outside = [
    name
    for name, tree in _modules(root)
    for imported in _imports(tree)
    if imported.split(".")[0] == library and not name.startswith(ROOMS[library])
  ]
  assert outside == []


def test_no_module_is_long_and_none_is_called_utils(root):
  for path in (root / PACKAGE).rglob("*.py"):
    assert "utils" not in path.stem, path
    assert len(path.read_text().splitlines()) <= 320, path


def test_importing_the_package_imports_no_heavy_library():
  code = (
    "import sys, data_efficient, data_efficient.main; "
    "print([m for m in ('tensorflow', 'jax', 'gin') if m in sys.modules])"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == "[]"


def test_scoring_and_selecting_need_no_tensorflow():
  code = (
    "import sys; from data_efficient.cli import score, select, report, "
    "quickstart; print('tensorflow' in sys.modules)"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == "False"
