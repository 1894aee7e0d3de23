# SPDX-License-Identifier: Apache-2.0
"""A tiny run on a tiny corpus."""

import seqio
import tensorflow as tf

from data_efficient.training import optimizers
from data_efficient.training.run import Run
from tests import networks

CONFIG = networks.t5(vocab_size=384, embedding_init_stddev=0.1)
LINES = [f"line {number} of a small corpus" for number in range(40)]


def task(name: str, lines, features=("inputs", "targets")) -> str:
  """Registers, once, a task that continues each line's first six letters."""
  feature = seqio.Feature(seqio.ByteVocabulary(), add_eos=True)

  def dataset(split, shuffle_files, seed=None):
    del split, shuffle_files, seed
    rows = {"inputs": list(lines), "targets": [line[:6] for line in lines]}
    return tf.data.Dataset.from_tensor_slices(
      {name: rows[name] for name in features}
    )

  if name not in seqio.TaskRegistry.names():
    seqio.TaskRegistry.add(
      name,
      seqio.FunctionDataSource(dataset, splits=("train",)),
      preprocessors=[
        seqio.preprocessors.tokenize,
        seqio.preprocessors.append_eos_after_trim,
      ],
      output_features={name: feature for name in features},
    )
  return name


def run(directory: str = "", **changes) -> Run:
  """Six steps of four lines; `changes` override."""
  settings = {
    "directory": directory,
    "network": CONFIG,
    "task": task("tiny_training", LINES),
    "evaluation_tasks": {"hq": task("tiny_evaluation", LINES[:10])},
    "task_feature_lengths": {"inputs": 24, "targets": 8},
    "batch_size": 4,
    "steps": 6,
    "evaluation_period": 2,
    "evaluation_batches": 3,
    "checkpoint_period": 2,
    "seed": 0,
    "schedule": optimizers.rsqrt(base=0.1, warmup_steps=4),
    "z_loss": 1e-4,
  }
  return Run(**{**settings, **changes})
