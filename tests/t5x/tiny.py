# SPDX-License-Identifier: Apache-2.0
"""A small run, a task it cannot learn by heart, and losses to compare."""

import random

from data_efficient.training import metrics, optimizers
from data_efficient.training.run import Run
from tests import networks

LENGTHS = {"inputs": 14, "targets": 12}
# Dimensions of 128 and more, so that Adafactor factors.
NETWORK = networks.t5(
  vocab_size=384, emb_dim=128, num_heads=4, mlp_dim=160, layers=2
)


def texts(seed: int, count: int) -> list[str]:
  """Random letters."""
  generator = random.Random(seed)
  return [
    "".join(generator.choices("abcdefghijklmn ", k=generator.randint(4, 11)))
    for _ in range(count)
  ]


def register(name: str, *, number: int, count: int) -> str:
  """Registers a task: a text, to its reverse."""
  import seqio
  import tensorflow as tf

  def examples(split, shuffle_files, seed=None):
    del split, shuffle_files, seed
    found = texts(number, count)
    rows = {"inputs": found, "targets": [text[::-1] for text in found]}
    return tf.data.Dataset.from_tensor_slices(rows)

  vocabulary = seqio.ByteVocabulary()
  seqio.TaskRegistry.add(
    name,
    source=seqio.FunctionDataSource(examples, splits=["train"]),
    preprocessors=[
      seqio.preprocessors.tokenize,
      seqio.preprocessors.append_eos_after_trim,
    ],
    output_features={feature: seqio.Feature(vocabulary) for feature in LENGTHS},
  )
  return name


def register_all() -> tuple[str, str]:
  """What is trained on, and the 30 examples of the evaluation."""
  return (
    register("t5x_tests", number=0, count=400),
    register("t5x_tests_hq", number=1, count=30),
  )


def run(tasks: tuple[str, str]) -> Run:
  """20 steps, in no directory yet."""
  return Run(
    directory="",
    network=NETWORK,
    task=tasks[0],
    evaluation_tasks={"hq": tasks[1]},
    task_feature_lengths=LENGTHS,
    batch_size=8,
    steps=20,
    evaluation_period=20,
    evaluation_batches=4,
    checkpoint_period=20,
    seed=0,
    # T5's own rate, 0.01: larger ones amplify the last bit.
    schedule=optimizers.rsqrt(base=0.03, warmup_steps=10),
    z_loss=1e-4,
  )


def losses(run: Run, label: str | None = None) -> dict[int, float]:
  """Step to loss, of training or of an evaluation set."""
  rows = metrics.read(run.directory)
  rows = [row for row in rows if row.get("evaluation") == label]
  return {row["step"]: row["loss"] for row in rows}
