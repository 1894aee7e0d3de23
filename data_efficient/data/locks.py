# SPDX-License-Identifier: Apache-2.0
"""One writer a directory; a process that dies holds nothing."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from data_efficient.data.manifests import ArtifactError, PathLike

_LOCK = ".lock"


def acquire(directory: pathlib.Path) -> int:
  """Holds a directory until the returned descriptor is closed.

  Raises:
    ArtifactError: another process holds it.
  """
  descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as error:
    os.close(descriptor)
    raise ArtifactError(
      f"{directory}: another process is writing here; wait for it, or name "
      "another directory"
    ) from error
  return descriptor


@contextlib.contextmanager
def exclusive(directory: PathLike) -> Iterator[None]:
  """Holds a directory for the block.

  Raises:
    ArtifactError: another process holds it.
  """
  descriptor = acquire(pathlib.Path(directory))
  try:
    yield
  finally:
    os.close(descriptor)  # which also releases the lock
