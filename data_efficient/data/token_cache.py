# SPDX-License-Identifier: Apache-2.0
"""A corpus tokenised once by `seqio_cache_tasks`, for every selection of it.

What is cached is the whole corpus: each record's tokens beside its shard and
position. A task over the cache looks each record up after seqio's placeholder,
so that no selection is frozen in: the next one reads the same cache.
"""

import functools
import pathlib
from collections.abc import Callable, Sequence

import seqio

from data_efficient.data import preprocessors
from data_efficient.data.corpus_index import CorpusIndex
from data_efficient.models import tokenizers


class CacheError(ValueError):
  """A cache that is not there, or cannot be made."""


def name(index: CorpusIndex, vocabulary: tokenizers.SentencePiece) -> str:
  """The task to cache, and its folder: of one corpus and one vocabulary."""
  corpus = index.describe()["fingerprint"]
  return f"tokens_{corpus}_{vocabulary.fingerprint}"


def steps() -> list[Callable]:
  """What is done before caching: all of it is in the cache's name."""
  return [
    preprocessors.text_to_targets,
    # Without a copy of the text.
    functools.partial(seqio.preprocessors.tokenize, copy_pretokenized=False),
  ]


class Task(seqio.Task):
  """A task that reads the cache of a whole corpus.

  Args:
    cache: directory that `seqio_cache_tasks` wrote to.
    cached: `name` of what was cached.
    **settings: as for `seqio.Task`; the preprocessors have a placeholder.

  Raises:
    CacheError: nothing of this name is cached there, or not all of it.
  """

  def __init__(self, *, cache: str, cached: str, **settings):
    super().__init__(**settings)
    self._folder = pathlib.Path(cache, cached)
    if not (self._folder / "COMPLETED").exists():
      raise CacheError(
        f"{self._folder}: this corpus is not cached there with this "
        "vocabulary, or not to its end: run the verb `cache`"
      )

  @property
  def cache_dir(self) -> str:
    """The corpus's cache, whatever this task's own name."""
    return str(self._folder)


def write(
  task: str,
  directory: str,
  *,
  options: Sequence[str],
  shards: int,
) -> None:
  """Caches a registered task by seqio's own pipeline.

  Args:
    task: name of the task, see `tasks.tokens`.
    directory: where caches are kept; does nothing if this one is there.
    options: of the Beam pipeline.
    shards: files of the cache, at least.

  Raises:
    CacheError: Apache Beam is not installed.
  """
  from absl import flags

  try:
    import apache_beam
    from seqio.scripts import cache_tasks_main
  except ImportError as error:
    raise CacheError(
      f"caching needs Apache Beam ({error}): pip install -e '.[beam]' "
      "-c constraints.txt"
    ) from error
  if (pathlib.Path(directory, task) / "COMPLETED").exists():
    return
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
  flags.FLAGS.min_shards = shards
  settings = apache_beam.options.pipeline_options.PipelineOptions(list(options))
  with apache_beam.Pipeline(options=settings) as pipeline:
    cache_tasks_main.run_pipeline(pipeline, [task], directory)
