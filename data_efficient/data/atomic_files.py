# SPDX-License-Identifier: Apache-2.0
"""Files and directories that are there whole, or not at all."""

import contextlib
import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator

from data_efficient.data.manifests import ArtifactError, PathLike

TEMPORARY = ".tmp"


def atomic_write(path: PathLike, data: bytes) -> None:
  """Replaces a file so that readers see the old or the new one, never half.

  Args:
    path: the file; its directory must exist.
    data: the new content.
  """
  path = pathlib.Path(path)
  # A name of its own: a piece of work that a cluster gives out twice may be
  # written twice at once.
  temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
  try:
    with open(temporary, "wb") as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  except BaseException:
    temporary.unlink(missing_ok=True)
    raise
  _fsync_directory(path.parent)


@contextlib.contextmanager
def new_directory(path: PathLike) -> Iterator[pathlib.Path]:
  """A directory for files that shall be there together.

  Yields an empty one, which has its own name when the block ends; an error
  removes it. A killed process leaves PATH.HEX.tmp.

  Raises:
    ArtifactError: `path` exists.
  """
  path = pathlib.Path(path)
  if path.exists():
    raise ArtifactError(
      f"{path}: exists already, and nothing is overwritten: choose another"
      " place, or remove it"
    )
  temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
  temporary.mkdir(parents=True)
  try:
    yield temporary
    for file in temporary.iterdir():
      with open(file, "rb") as written:
        os.fsync(written.fileno())
    _fsync_directory(temporary)
    temporary.rename(path)
  except BaseException:
    shutil.rmtree(temporary, ignore_errors=True)
    raise
  _fsync_directory(path.parent)


def _fsync_directory(directory: pathlib.Path) -> None:
  descriptor = os.open(directory, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def sizes(directory: pathlib.Path) -> dict[str, int]:
  """Bytes of each file, in one pass over the directory."""
  found = {}
  with os.scandir(directory) as items:
    for item in items:
      # Another member of the group may have removed it since.
      with contextlib.suppress(FileNotFoundError):
        if item.is_file():
          found[item.name] = item.stat().st_size
  return found
