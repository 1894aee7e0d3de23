# SPDX-License-Identifier: Apache-2.0
"""Run by `meshes_test` in a process that has eight CPU devices."""

import functools
from typing import NamedTuple

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from data_efficient.models import partitioning
from data_efficient.training import local, optimizers, step
from data_efficient.training.run import Run
from tests import networks

STEPS, BATCH = 20, 16
# Microbatches, and the devices that share one copy of the model.
MESHES = [(1, 1), (1, 4), (1, 8), (2, 4)]

# Wide enough for Adafactor to factor its second moments (from 128 on).
NETWORK = networks.t5(
  vocab_size=256,
  emb_dim=128,
  num_heads=8,
  mlp_dim=128,
  embedding_init_stddev=0.1,
)
RUN = Run(
  directory="",
  network=NETWORK,
  task="",
  evaluation_tasks={},
  task_feature_lengths={"inputs": 8, "targets": 6},
  batch_size=BATCH,
  steps=STEPS,
  evaluation_period=STEPS,
  evaluation_batches=1,
  checkpoint_period=STEPS,
  seed=0,
  schedule=optimizers.rsqrt(base=0.1, warmup_steps=4),
  z_loss=1e-4,
)


def _batch(number: int):
  random = np.random.default_rng(number)
  source = random.integers(2, 20, (BATCH, 8))
  targets = source[:, :6] + 1
  # Rows of different lengths: the parts of a batch have unequal weights.
  targets[np.arange(6) > random.integers(0, 6, (BATCH, 1))] = 0
  return {
    "encoder_input_tokens": source,
    "decoder_input_tokens": np.pad(targets[:, :-1], [(0, 0), (1, 0)]),
    "decoder_target_tokens": targets,
    "decoder_loss_weights": (targets > 0).astype(np.int32),
  }


class Trained(NamedTuple):
  state: step.State
  losses: np.ndarray
  compiled: str


@functools.cache
def _trained(devices: int, model_parallel: int, microbatches: int) -> Trained:
  mesh = partitioning.mesh(
    model_parallel=model_parallel, devices=jax.devices()[:devices]
  )
  losses = []
  with partitioning.activate(mesh):
    functions = local._functions(RUN, mesh, microbatches)
    batches = [
      jax.tree.map(lambda a: partitioning.place(a, functions.rows), _batch(n))
      for n in range(STEPS)
    ]
    state = functions.initial()
    base = functions.base
    train = functions.train.lower(state, batches[0], base).compile()
    for batch in batches:
      state, measured = train(state, batch, base)
      losses.append(float(measured.loss))
  return Trained(state, np.array(losses), train.as_text())


def _alone() -> Trained:
  return _trained(1, 1, 1)


@pytest.mark.parametrize("microbatches, model_parallel", MESHES)
def test_a_mesh_computes_what_one_device_does(microbatches, model_parallel):
  ours, theirs = _trained(8, model_parallel, microbatches), _alone()
  assert theirs.losses[-1] < theirs.losses[0] - 0.5
  np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-5)
  # An accumulator of squares has twice the error of what it squares.
  for name, limit in (("parameters", 1e-5), ("optimizer_state", 5e-5)):
    left, right = (
      jax.device_get(jax.tree.leaves(getattr(trained.state, name)))
      for trained in (ours, theirs)
    )
    for one, other in zip(left, right, strict=True):
      difference = np.linalg.norm(np.subtract(one, other, dtype=np.float64))
      assert difference <= limit * np.linalg.norm(other)


def test_large_arrays_are_split_and_small_ones_whole():
  state = _trained(8, 4, 2).state
  table = state.parameters["token_embedder"]["embedding"]
  assert table.sharding.spec == PartitionSpec("model", None)
  assert table.addressable_shards[0].data.shape == (64, 128)
  factors = [
    leaf
    for leaf in jax.tree.leaves(state.optimizer_state)
    if leaf.shape == (256,)
  ]
  assert factors and all(leaf.sharding.is_fully_replicated for leaf in factors)


def test_logits_and_microbatches_stay_split_inside_the_step():
  text = _trained(8, 4, 2).compiled
  # Of [8, 6, 256] a device has rows of its half, and a quarter of the words.
  assert "f32[4,6,64]" in text
  assert "f32[8,6,256]" not in text and "f32[16,6,256]" not in text
