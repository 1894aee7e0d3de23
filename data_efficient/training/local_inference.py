# SPDX-License-Identifier: Apache-2.0
"""Inference by the local engine, on the devices of all processes."""

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import seqio
import tensorflow as tf

from data_efficient import processes
from data_efficient.models import (
  checkpoints,
  decoder,
  encoder_decoder,
  partitioning,
)
from data_efficient.training import (
  batches,
  causal_decoding,
  decoding,
  inference,
)

Example = dict[str, np.ndarray]


def infer(asked: inference.Inference, *, model_parallel: int) -> None:
  """Scores targets or predicts them; see `inference`.

  Raises:
    PartitioningError: devices, network or batch that do not divide.
    CheckpointError: the checkpoint is not there, or not this network's.
    ValueError: a network that cannot be decoded.
  """
  mesh = partitioning.mesh(model_parallel=model_parallel)
  if asked.batch_size % mesh.shape["data"]:
    raise partitioning.PartitioningError(
      f"batch_size = {asked.batch_size} does not divide over"
      f" {mesh.shape['data']} groups of devices: choose a multiple"
    )
  with partitioning.activate(mesh):
    shardings = partitioning.parameter_shardings(asked.network, mesh)
    parameters = checkpoints.load_parameters(
      asked.checkpoint, config=asked.network, shardings=shardings
    )
    rows = partitioning.batch_sharding(mesh)
    function = jax.jit(
      _function(asked),
      in_shardings=(shardings, rows),
      out_shardings=partitioning.replicated(mesh),
    )
    lines = []
    for examples, features in _batches(asked):
      placed = {
        name: partitioning.place(array, rows)
        for name, array in features.items()
      }
      found = jax.device_get(function(parameters, placed))
      lines += inference.rows(asked, examples, found[: len(examples)])
  if processes.is_first():
    inference.keep(asked, "".join(lines).encode())


def _function(asked: inference.Inference) -> Any:
  if asked.mode is inference.Mode.SCORE:
    return functools.partial(decoding.scores, network=asked.network)
  features = seqio.get_mixture_or_task(asked.task).output_features
  eos_id = features["targets"].vocabulary.eos_id
  if isinstance(asked.network, decoder.DecoderConfig):
    return functools.partial(
      _continued,
      network=asked.network,
      length=asked.task_feature_lengths["targets"],
      eos_ids=np.array([eos_id], np.int32),
    )
  if isinstance(asked.network, encoder_decoder.T5Config):
    return functools.partial(
      decoding.greedy, network=asked.network, eos_id=eos_id
    )
  raise ValueError(
    f"{type(asked.network).__name__} keeps nothing of what it read and cannot "
    "be decoded: choose mode 'score', or as MODEL an encoder–decoder or a "
    "decoder of the Llama family"
  )


def _continued(parameters: Any, batch: Any, **settings: Any) -> jax.Array:
  prompts = causal_decoding.prompts_of(batch)
  return causal_decoding.greedy(parameters, prompts, **settings).tokens


def _batches(
  asked: inference.Inference,
) -> Iterator[tuple[list[Example], Example]]:
  """Examples of the task, and their features in batches of one size."""
  lengths = dict(asked.task_feature_lengths)
  dataset = seqio.get_mixture_or_task(asked.task).get_dataset(
    sequence_length=lengths,
    split=inference.SPLIT,
    shuffle=False,
    num_epochs=1,
    seed=inference.SEED,
    use_cached=batches.reads_cache(asked.task),
  )
  convert = batches.converter(asked.network, asked.task)
  pairs = tf.data.Dataset.zip((dataset, convert(dataset, lengths)))
  pairs = batches.untuned(pairs).as_numpy_iterator()
  while found := list(itertools.islice(pairs, asked.batch_size)):
    examples, features = zip(*found, strict=True)
    missing = asked.batch_size - len(found)
    yield (
      list(examples),
      {
        name: np.pad(
          np.stack([feature[name] for feature in features]),
          [(0, missing), (0, 0)],
        )
        for name in features[0]
      },
    )
