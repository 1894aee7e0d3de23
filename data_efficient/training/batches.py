# SPDX-License-Identifier: Apache-2.0
"""seqio tasks to NumPy batches of fixed shape."""

import itertools
from collections.abc import Iterator

import numpy as np
import seqio
import tensorflow as tf

from data_efficient.data import feature_converters
from data_efficient.models import decoder, networks
from data_efficient.training.run import Run

Batch = dict[str, np.ndarray]


def training(run: Run, *, start: int) -> Iterator[Batch]:
  """Batches of the run's task from step `start` on, without end.

  The order depends on `run.seed` alone: batch k of a resumed run is batch k
  of an uninterrupted one. Skipped batches are read, not trained on.
  """
  dataset = _dataset(run, run.task, shuffle=True, num_epochs=None)
  dataset = dataset.batch(run.batch_size, drop_remainder=True).skip(start)
  return _arrays(dataset)


def evaluation(run: Run) -> dict[str, list[Batch]]:
  """The fixed batches of each evaluation task: same texts, same masks.

  Order and masks come from seed 0 whatever the run's seed, so that all runs
  are measured by the same questions. The order is shuffled: in the corpus's
  own order the first batches would be those of its first shards only. A last
  batch is filled with empty rows.
  """
  return {
    label: _evaluation_batches(run, task)
    for label, task in run.evaluation_tasks.items()
  }


def _evaluation_batches(run: Run, task: str) -> list[Batch]:
  dataset = _dataset(run, task, shuffle=True, num_epochs=1, seed=0)
  dataset = dataset.batch(run.batch_size)
  batches = itertools.islice(_arrays(dataset), run.evaluation_batches)
  return [_filled(batch, run.batch_size) for batch in batches]


def _filled(batch: Batch, rows: int) -> Batch:
  return {
    name: np.pad(array, [(0, rows - len(array)), (0, 0)])
    for name, array in batch.items()
  }


def _dataset(
  run: Run,
  task: str,
  *,
  shuffle: bool,
  num_epochs: int | None,
  seed: int | None = None,
) -> tf.data.Dataset:
  build = seqio.get_dataset
  # No function of our tasks or of the converter needs AutoGraph's rewriting of
  # Python, which takes longer than all the rest of building a pipeline; T5's
  # do.
  if not _needs_autograph(task):
    build = tf.autograph.experimental.do_not_convert(build)
  return build(
    mixture_or_task_name=task,
    task_feature_lengths=dict(run.task_feature_lengths),
    feature_converter=converter(run.network, task),
    dataset_split="train",
    use_cached=reads_cache(task),
    shuffle=shuffle,
    num_epochs=num_epochs,
    seed=run.seed if seed is None else seed,
  )


def tokens(network: networks.Network, batch: Batch) -> int:
  """Tokens of a batch that are not padding, of inputs and targets."""
  if isinstance(network, decoder.DecoderConfig):
    # Id 0 is a token; a row has one more than are read.
    inputs = batch["decoder_input_tokens"]
    return int((inputs >= 0).sum() + (inputs[:, 0] >= 0).sum())
  names = ("encoder_input_tokens", "decoder_target_tokens")
  return sum(int(np.count_nonzero(batch[n])) for n in names if n in batch)


def converter(network: networks.Network, task: str) -> seqio.FeatureConverter:
  """Makes the features of a network from those of a task."""
  return converter_class(network, task)(pack=False)


def converter_class(
  network: networks.Network, task: str
) -> type[seqio.FeatureConverter]:
  """The class that turns a task's features into a network's."""
  if "encoder_input_tokens" in network.required:
    return feature_converters.EncDec
  if "inputs" in seqio.get_mixture_or_task(task).output_features:
    if isinstance(network, decoder.DecoderConfig):
      return feature_converters.Rows
    return feature_converters.PrefixLM
  return feature_converters.LM


def reads_cache(task: str) -> bool:
  """Whether a task is to be read from its cache (see `data.token_cache`)."""
  return getattr(seqio.get_mixture_or_task(task), "requires_caching", False)


def _needs_autograph(task: str) -> bool:
  read = seqio.get_mixture_or_task(task)
  return any(
    getattr(each, "needs_autograph", False)
    for each in getattr(read, "tasks", [read])
  )


def _arrays(dataset: tf.data.Dataset) -> Iterator[Batch]:
  options = tf.data.Options()
  options.deterministic = True
  # One core a run is usual here; a big private pool only fights for it.
  options.threading.private_threadpool_size = 2
  dataset = untuned(dataset.with_options(options).prefetch(4))
  return iter(dataset.as_numpy_iterator())


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
  """The dataset without tf.data's tuning thread.

  It sleeps for 10 ms, 20 ms, … up to a minute, and whoever drops the iterator
  waits until it wakes.
  """
  options = tf.data.Options()
  options.autotune.enabled = False
  return dataset.with_options(options)
