# SPDX-License-Identifier: Apache-2.0
"""The verb `train` on a tiny run, as `main` calls it; batches come slowly.

python tests/training/train_slowly.py DIRECTORY MODEL_PARALLEL SECONDS [BASE]

With the checkpoint BASE, an adapter of it.
"""

import sys
import time

from data_efficient import interruption
from data_efficient.cli import train
from data_efficient.models import adapters
from data_efficient.training import batches, finetuning, local, optimizers
from tests.training import fakes

STEPS = 20


def run(directory: str, base: str | None = None):
  made = fakes.run(
    directory,
    steps=STEPS,
    evaluation_period=5,
    checkpoint_period=100,
    schedule=fakes.run().schedule,
  )
  if base is None:
    return made
  return finetuning.finetuning(
    run=made,
    checkpoint=base,
    dropout_rate=None,
    schedule=optimizers.constant(learning_rate=0.01),
    optimizer=optimizers.adamw(b1=0.9, b2=0.99, epsilon=1e-8, weight_decay=0.1),
    adapter=adapters.Lora(rank=2, alpha=8.0, dropout_rate=0.2),
  )


def main(
  directory: str, model_parallel: str, seconds: str, base: str | None = None
) -> None:
  quick = batches.training

  def slow(*arguments, **keywords):
    for batch in quick(*arguments, **keywords):
      time.sleep(float(seconds))
      yield batch

  batches.training = slow
  engine = local.Local(
    model_parallel=int(model_parallel), microbatches=1, log_period=1
  )
  with interruption.raised():
    train.train(run=run(directory, base), engine=engine, facts={})


if __name__ == "__main__":
  main(*sys.argv[1:])
