# SPDX-License-Identifier: Apache-2.0
"""The verb `train` on a tiny run, as `main` calls it; batches come slowly.

python tests/training/train_slowly.py DIRECTORY MODEL_PARALLEL SECONDS
"""

import sys
import time

from data_efficient import interruption
from data_efficient.cli import train
from data_efficient.training import batches, local
from tests.training import fakes

STEPS = 20


def run(directory: str):
  return fakes.run(
    directory,
    steps=STEPS,
    evaluation_period=5,
    checkpoint_period=100,
    schedule=fakes.run().schedule,
  )


def main(directory: str, model_parallel: str, seconds: str) -> None:
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
    train.train(run=run(directory), engine=engine, facts={})


if __name__ == "__main__":
  main(*sys.argv[1:])
