# SPDX-License-Identifier: Apache-2.0
"""Text that is on the disk anyway: files of packages, cut into passages.

Nothing is imported or run: packages are found through their metadata, Python
sources are parsed with `ast`.
"""

import ast
import importlib.metadata
import pathlib
import sysconfig
import warnings
from collections.abc import Iterator
from typing import NamedTuple

STANDARD_LIBRARY = "python"
MIN_DOCSTRING = 200  # characters
_MIN_PASSAGE, _MAX_PASSAGE = 600, 1500  # characters
_MIN_REMAINDER = 200  # characters of a file's last passage
_MAX_BYTES = 1 << 20  # read from one file: generated ones reach 40 MB

_SOURCES = frozenset(
  ".py .pyx .pxd .pxi .h .hpp .inc .inl .cuh .c .cc .js .sh".split()
)
_TABLES = frozenset(".csv .tsv .json .txt .dat .yaml .afm .tab".split())
_LICENCES = ("license", "licence", "copying", "notice", "authors", "third")
_METADATA = frozenset(
  "METADATA RECORD WHEEL entry_points.txt top_level.txt".split()
)
# Folders that Linux distributions leave out, and what is not the library.
_SKIPPED = frozenset(
  "__pycache__ site-packages dist-packages test idlelib turtledemo "
  "pydoc_data lib2to3 ensurepip lib-dynload".split()
)

_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class File(NamedTuple):
  """A text file of a package.

  Attributes:
    path: where it is.
    name: its path below the folder of all packages, with "/".
    kind: "source", "stub", "metadata", "licence" or "table".
    bytes: its length.
  """

  path: pathlib.Path
  name: str
  kind: str
  bytes: int

  @property
  def module(self) -> str:
    """Dotted name without suffix: a module and its stub are one group."""
    parts = pathlib.PurePosixPath(self.name).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class Package(NamedTuple):
  """A package and its text files, sorted by name."""

  name: str
  version: str
  files: list[File]


def find(name: str) -> Package | None:
  """Returns a package's text files, or None if it is not installed.

  Args:
    name: name of the distribution, or "python" for the standard library.
  """
  if name == STANDARD_LIBRARY:
    root = pathlib.Path(sysconfig.get_path("stdlib"))
    paths = {path.relative_to(root).as_posix(): path for path in _walk(root)}
    return Package(name, sysconfig.get_python_version(), _files(paths))
  try:
    distribution = importlib.metadata.distribution(name)
  except importlib.metadata.PackageNotFoundError:
    return None
  listed = distribution.files or []
  paths = {
    file.as_posix(): pathlib.Path(str(file.locate()))
    for file in listed
    if ".." not in file.parts and "__pycache__" not in file.parts
  }
  return Package(name, distribution.version, _files(paths))


def passages(file: File) -> list[str]:
  """Returns a file cut at line borders into 600 to 1,500 characters.

  A passage ends at the first blank line after 600 characters, or before the
  line that would exceed 1,500; longer lines are cut. Files that are not UTF-8
  give nothing; of long files the first MiB is read.
  """
  result: list[str] = []
  block, length = [], 0
  for line in _lines(_read(file)):
    full = length + len(line) > _MAX_PASSAGE
    if block and (full or (length >= _MIN_PASSAGE and not line.strip())):
      result.append("".join(block))
      block, length = [], 0
    block.append(line)
    length += len(line)
  if length >= _MIN_REMAINDER:
    result.append("".join(block))
  stripped = (passage.strip("\n") for passage in result)
  return [text for text in stripped if len(text) >= _MIN_REMAINDER]


def docstrings(file: File) -> list[str]:
  """Returns the docstrings of 200 characters or more of a Python source.

  Those of the module, its classes and its functions, from top to bottom;
  sources that this Python cannot parse give nothing.
  """
  tree = _parsed(_read(file))
  nodes = [tree, *_definitions(tree.body)] if tree else []
  texts = (ast.get_docstring(node) or "" for node in nodes)
  return [
    text for text in texts if len(text) >= MIN_DOCSTRING and _is_utf8(text)
  ]


def topics() -> dict[str, list[str]]:
  """Returns the language reference of `pydoc_data.topics`, cut as passages.

  Returns:
    The passages of each topic, borders at blank lines; nothing where Python
    comes without it.
  """
  root = pathlib.Path(sysconfig.get_path("stdlib"))
  path = root / "pydoc_data" / "topics.py"
  if not path.is_file():
    return {}
  for node in ast.parse(path.read_bytes()).body:
    if isinstance(node, ast.Assign):
      found = ast.literal_eval(node.value)
      return {name: _paragraphs(found[name]) for name in sorted(found)}
  return {}


def _paragraphs(text: str) -> list[str]:
  result, block = [], ""
  for paragraph in text.split("\n\n"):
    if block and len(block) + len(paragraph) > _MAX_PASSAGE:
      result.append(block)
      block = ""
    block = f"{block}\n\n{paragraph}" if block else paragraph
  stripped = (passage.strip("\n") for passage in [*result, block])
  return [passage for passage in stripped if len(passage) >= _MIN_REMAINDER]


def _walk(root: pathlib.Path) -> Iterator[pathlib.Path]:
  for path in root.iterdir():
    if path.is_symlink() or path.name in _SKIPPED:
      continue
    if path.is_dir() and not path.name.startswith("config-"):
      yield from _walk(path)
    elif path.is_file():
      yield path


def _files(paths: dict[str, pathlib.Path]) -> list[File]:
  result = []
  for name, path in sorted(paths.items()):
    kind = _kind(pathlib.PurePosixPath(name))
    if kind and path.is_file():
      result.append(File(path, name, kind, path.stat().st_size))
  return result


def _kind(path: pathlib.PurePosixPath) -> str:
  generated = path.name.endswith(("_pb2.py", "_pb2_grpc.py"))
  if path.name.lower().startswith(_LICENCES):
    return "licence"
  if path.name in _METADATA and ".dist-info" in str(path.parent):
    return "metadata"
  if path.suffix == ".pyi" or generated or path.name.startswith("gen_"):
    return "stub"
  if path.suffix in _SOURCES:
    return "source"
  return "table" if path.suffix in _TABLES else ""


def _read(file: File) -> str:
  with open(file.path, "rb") as stream:
    data = stream.read(_MAX_BYTES)
  if file.bytes > _MAX_BYTES:
    data = data[: data.rfind(b"\n") + 1]
  try:
    text = data.decode("utf-8")
  except UnicodeDecodeError:
    return ""
  return "" if "\0" in text else text.replace("\r\n", "\n")


def _lines(text: str) -> Iterator[str]:
  for line in text.splitlines(keepends=True):
    for start in range(0, len(line), _MAX_PASSAGE):
      yield line[start : start + _MAX_PASSAGE]


def _parsed(text: str) -> ast.Module | None:
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # invalid escapes in others' sources
    try:
      return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
      return None


def _definitions(body: list[ast.AST]) -> Iterator[_Definition]:
  """Yields classes and functions; a walk of statements, not expressions."""
  for node in body:
    if isinstance(node, _Definition):
      yield node
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
      yield from _definitions(getattr(node, field, []))


def _is_utf8(text: str) -> bool:
  try:
    text.encode("utf-8")
  except UnicodeEncodeError:
    return False
  return True
