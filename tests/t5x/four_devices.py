# SPDX-License-Identifier: Apache-2.0
"""Three steps and some scores by T5X on four CPU devices; run by a test.

python -m tests.t5x.four_devices OUTPUT CHECKPOINT
"""

import dataclasses
import sys

import jax

from data_efficient.training import inference, t5x, t5x_model
from tests.t5x import tiny


def main(output: str, checkpoint: str) -> None:
  """Leaves OUTPUT/run and OUTPUT/scores."""
  assert len(jax.devices()) == 4
  mesh = t5x_model.partitioner(2).mesh
  assert dict(mesh.shape) == {"data": 2, "model": 2}
  engine = t5x.T5X(model_parallel=2, log_period=1)
  run = tiny.run(tiny.register_all())
  run = dataclasses.replace(run, directory=f"{output}/run", steps=3)
  engine.train(run)
  asked = inference.inference(
    run=dataclasses.replace(run, directory=f"{output}/scores"),
    checkpoint=checkpoint,
    evaluation="hq",
    mode="score",
  )
  engine.infer(asked)


if __name__ == "__main__":
  main(*sys.argv[1:])
