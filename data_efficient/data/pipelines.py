# SPDX-License-Identifier: Apache-2.0
"""Passes over the shards of a corpus as Apache Beam pipelines.

What a shard gives is small beside the shard; a worker writes it to a file that
this process reads. So the machinery that selects is the same everywhere, and so
is what it selects.
"""

import contextlib
import functools
import io
import pathlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from data_efficient import progress
from data_efficient.data import artifacts
from data_efficient.selection import passes

_WATCH_SECONDS = 1.0


class PipelineError(ValueError):
  """A pipeline that cannot be run."""


def each(options: Sequence[str], directory: artifacts.PathLike) -> passes.Each:
  """Returns what does as `passes.mapped`, by a pipeline for each pass.

  Args:
    options: of the pipelines, such as '--runner=DirectRunner'.
    directory: beside which results lie while a pass is made; all workers must
      see it, and the files of scores.

  Raises:
    PipelineError: Apache Beam is not installed.
  """
  try:
    import apache_beam  # noqa: F401
  except ImportError as error:
    raise PipelineError(
      "Apache Beam is not installed: pip install -e '.[beam]' "
      "-c constraints.txt"
    ) from error
  beside = pathlib.Path(directory).absolute().parent
  return functools.partial(_over_shards, list(options), beside)


def _over_shards(
  options: list[str],
  beside: pathlib.Path,
  function: Callable[[int], tuple[np.ndarray, ...]],
  count: int,
) -> Iterator[tuple[np.ndarray, ...]]:
  import apache_beam as beam
  from apache_beam.options import pipeline_options

  beside.mkdir(parents=True, exist_ok=True)
  folder = pathlib.Path(tempfile.mkdtemp(prefix=".pass-", dir=beside))
  try:
    parsed = pipeline_options.PipelineOptions(options)
    with _watched(folder, count), beam.Pipeline(options=parsed) as pipeline:
      _ = (
        pipeline
        | beam.Create(range(count))
        # Shards next to each other may go to different workers.
        | beam.Reshuffle()
        | beam.Map(functools.partial(_write, function, str(folder)))
      )
    for number in range(count):
      yield _read(folder, number)
  finally:
    shutil.rmtree(folder)


@contextlib.contextmanager
def _watched(folder: pathlib.Path, count: int) -> Iterator[None]:
  """Shows how many results the workers have left in a folder."""
  stopped = threading.Event()
  with progress.bar("pipeline", total=count) as advance:

    def watch() -> None:
      seen, last = 0, False
      while not last:
        last = stopped.wait(_WATCH_SECONDS)
        now = len([*folder.glob("*.npz")])
        advance(now - seen)
        seen = now

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
      yield
    finally:
      stopped.set()
      watcher.join()


def _write(
  function: Callable[[int], tuple[np.ndarray, ...]], folder: str, number: int
) -> None:
  data = io.BytesIO()
  with progress.quietly():
    np.savez(data, *function(number))
  artifacts.atomic_write(_place(folder, number), data.getvalue())


def _read(folder: artifacts.PathLike, number: int) -> tuple[np.ndarray, ...]:
  with np.load(_place(folder, number), allow_pickle=False) as found:
    return tuple(found[f"arr_{index}"] for index in range(len(found.files)))


def _place(folder: artifacts.PathLike, number: int) -> pathlib.Path:
  return pathlib.Path(folder, f"{number:05d}.npz")
