# SPDX-License-Identifier: Apache-2.0
"""Run by `meshes_test` in a process that has eight CPU devices."""

import jax
import numpy as np
import pytest

from data_efficient.kernels.gradient_features import AdamRates, Moments
from data_efficient.models import adapters, partitioning
from data_efficient.scorers import (
  answer_rows,
  batching,
  judges,
  less_gradients,
  warmups,
)
from data_efficient.scorers.templates import Instruction
from tests import networks
from tests.scorers import asked, pairs

NETWORK = networks.llama(vocab_size=64, num_heads=8, num_kv_heads=8, mlp_dim=32)
LORA = adapters.Lora(rank=2, alpha=8.0, dropout_rate=0.0)
ROWS = [Instruction("add " * n, "four") for n in range(1, 9)]
# Devices, and how many of them share one copy of the parameters.
MESHES = [(2, 1), (2, 2), (8, 2), (8, 8)]


def _tree(seed, power):
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda leaf: np.float32(rng.normal(size=leaf.shape) * power),
    adapters.shapes(NETWORK, LORA),
  )


def _features(mesh):
  """Of all rows, at one checkpoint, as the scorer takes them."""
  judge = pairs.judge(NETWORK)
  trees = [_tree(0, 0.3), _tree(1, 0.1), jax.tree.map(np.square, _tree(2, 0.1))]
  if mesh is not None:
    shardings = partitioning.parameter_shardings(NETWORK, mesh)
    parameters = jax.device_put(judge.parameters, shardings)
    judge = judges.Judge(NETWORK, parameters, judge.name, mesh)
    own = adapters.shardings(NETWORK, LORA, shardings)
    trees = [jax.tree.map(partitioning.place, tree, own) for tree in trees]
  gradients = less_gradients.Gradients(
    judge=judge,
    lora=LORA,
    rates=AdamRates(0.9, 0.999, 1e-8, 0.0),
    dimensions=96,
    seed=0,
    rows=answer_rows.AnswerRows(
      network=NETWORK,
      tokenizer=asked.Letters(),
      template=pairs.TEMPLATE,
      max_tokens=48,
    ),
    buckets=batching.Buckets(longest=48, step=48, batch_tokens=48 * 8),
  )
  rows = [gradients.rows.row(one) for one in ROWS]
  (items,), (arrays,) = gradients.batches(rows)
  assert items == [*range(8)]
  moments = Moments(np.int32(3), *trees[1:])
  checkpoint = warmups.Checkpoint(1, trees[0], moments, 1.0)
  placed = gradients.placed(arrays)
  return [
    np.asarray(gradients.of(checkpoint, placed, adam=adam))
    for adam in (True, False)
  ]


@pytest.mark.parametrize(("devices", "model_parallel"), MESHES)
def test_gradients_of_a_mesh_are_those_of_one_device(devices, model_parallel):
  mesh = partitioning.mesh(
    model_parallel=model_parallel, devices=jax.devices()[:devices]
  )
  for ours, one in zip(_features(mesh), _features(None), strict=True):
    scale = np.abs(one).max()
    np.testing.assert_allclose(ours / scale, one / scale, atol=1e-4)
