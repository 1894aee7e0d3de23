# SPDX-License-Identifier: Apache-2.0
"""The paper's train steps, as the local engine jits them, fit a chip.

T5 1.1 small and large, 1,024 rows of 512 inputs and 114 targets on 16 chips.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from data_efficient import gin_config
from data_efficient.models import encoder_decoder, partitioning
from data_efficient.training import local, optimizers
from data_efficient.training.run import Run
from tests.tpu import harness

BATCH, INPUTS, TARGETS = 1024, 512, 114
MEBIBYTE = 2**20


# The compiler's search for fast programs takes most of its time; this is the
# least of it.
OPTIONS = {"exec_time_optimization_effort": -1.0}


class Case(NamedTuple):
  """How a size is trained on a slice, and what a chip then needs at most."""

  size: str
  chip: str
  model_parallel: int
  remat: str
  microbatches: int
  limit_mib: int

  def __str__(self) -> str:
    """The test's name."""
    return (
      f"{self.size}-{self.chip}-model{self.model_parallel}-{self.remat}"
      f"-{self.microbatches}"
    )


# About a tenth above what was measured; other settings may fit too. Small's 6
# heads do not divide by 4.
CASES = [
  Case("small", "v5e", 1, "none", 1, 13_400),
  Case("small", "v5e", 2, "none", 1, 15_400),
  Case("small", "v5p", 1, "none", 1, 15_100),
  Case("small", "v5p", 2, "none", 1, 17_300),
  Case("small", "v6e", 1, "none", 1, 13_400),
  Case("small", "v6e", 2, "none", 1, 15_500),
  Case("large", "v5e", 1, "full", 4, 13_400),
  Case("large", "v5e", 4, "full", 4, 12_800),
  Case("large", "v5p", 1, "minimal", 1, 57_900),
  Case("large", "v5p", 4, "minimal", 1, 83_400),
  Case("large", "v6e", 1, "full", 1, 19_400),
  # In one piece it takes 37 GiB of temporaries, and 31 are free.
  Case("large", "v6e", 4, "full", 2, 27_900),
]


def _run(case: Case) -> Run:
  """The run of gin/runs/train.gin, without its data."""
  gin_config.parse(
    [
      *("gin/runs/train.gin", "gin/data/files.gin", "gin/engines/local.gin"),
      *("gin/data/vocabulary_file.gin", f"gin/models/t5_1_1_{case.size}.gin"),
    ],
    [
      *("FILES=x", "PREPARED=x", "VOCABULARY_FILE=x"),
      *("SELECTION=x", "OUTPUT=x"),
    ],
  )
  network = gin_config.configured(encoder_decoder.T5Config)()
  return Run(
    directory="",
    network=dataclasses.replace(network, remat=case.remat),
    task="",
    evaluation_tasks={},
    task_feature_lengths={"inputs": INPUTS, "targets": TARGETS},
    batch_size=BATCH,
    steps=1,
    evaluation_period=1,
    evaluation_batches=1,
    checkpoint_period=1,
    seed=0,
    schedule=gin_config.configured(optimizers.rsqrt)(),
    z_loss=1e-4,
  )


def _batch(run: Run, mesh) -> dict[str, jax.ShapeDtypeStruct]:
  lengths = {
    name: INPUTS if name.startswith("encoder") else TARGETS
    for name in (*run.network.required, "decoder_loss_weights")
  }
  return {
    name: harness.struct(mesh, (BATCH, length), jnp.int32, "data")
    for name, length in lengths.items()
  }


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_papers_step_fits(case, tpu_slice, compile_for_tpu):
  limit = case.limit_mib * MEBIBYTE
  assert limit < harness.MEMORY[case.chip]
  mesh = partitioning.mesh(
    model_parallel=case.model_parallel, devices=tpu_slice(case.chip)
  )
  run = _run(case)
  # Outside of `activate`: it makes a key, on the device at hand.
  functions = local._functions(run, mesh, case.microbatches)
  with partitioning.activate(mesh):
    state = harness.laid_out(
      jax.eval_shape(functions.initial), functions.shardings
    )
    compile_for_tpu(
      functions.train,
      state,
      _batch(run, mesh),
      functions.base,
      limit=limit,
      options=OPTIONS,
    )
