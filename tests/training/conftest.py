# SPDX-License-Identifier: Apache-2.0
"""A tiny run on a tiny corpus; one compile serves most tests."""

import dataclasses

import pytest
import seqio
import tensorflow as tf

from data_efficient.models import encoder_decoder
from data_efficient.training import optimizers
from data_efficient.training.run import Run

CONFIG = encoder_decoder.T5Config(
  vocab_size=384,
  emb_dim=16,
  num_heads=2,
  head_dim=8,
  mlp_dim=32,
  num_encoder_layers=1,
  num_decoder_layers=1,
  dtype="float32",
  dropout_rate=0.0,
  embedding_init_stddev=0.1,
)


def _task(name: str, lines) -> str:
  vocabulary = seqio.ByteVocabulary()
  feature = seqio.Feature(vocabulary, add_eos=True)

  def dataset(split, shuffle_files, seed=None):
    del split, shuffle_files, seed
    rows = {"inputs": list(lines), "targets": [line[:6] for line in lines]}
    return tf.data.Dataset.from_tensor_slices(rows)

  if name not in seqio.TaskRegistry.names():
    seqio.TaskRegistry.add(
      name,
      seqio.FunctionDataSource(dataset, splits=("train",)),
      preprocessors=[
        seqio.preprocessors.tokenize,
        seqio.preprocessors.append_eos_after_trim,
      ],
      output_features={"inputs": feature, "targets": feature},
    )
  return name


@pytest.fixture(scope="session")
def run() -> Run:
  lines = [f"line {number} of a small corpus" for number in range(40)]
  return Run(
    directory="",
    network=CONFIG,
    task=_task("tiny_training", lines),
    evaluation_tasks={"hq": _task("tiny_evaluation", lines[:10])},
    task_feature_lengths={"inputs": 24, "targets": 8},
    batch_size=4,
    steps=6,
    evaluation_period=2,
    evaluation_batches=3,
    checkpoint_period=2,
    seed=0,
    schedule=optimizers.rsqrt(base=0.1, warmup_steps=4),
    z_loss=1e-4,
  )


@pytest.fixture
def run_in(run, tmp_path):
  """`run_in(name, **changes)`: the run in a directory of its own."""

  def make(name: str, **changes) -> Run:
    return dataclasses.replace(run, directory=str(tmp_path / name), **changes)

  return make
