# SPDX-License-Identifier: Apache-2.0
"""Run by `meshes_test` in a process that has eight CPU devices."""

import functools

import jax
import numpy as np
import pytest

from data_efficient.models import checkpoints, partitioning
from data_efficient.scorers import judges, objectives, perplexity
from tests import networks
from tests.scorers import asked

# Devices, and how many of them share one copy of the parameters.
MESHES = [(2, 1), (2, 2), (4, 2), (8, 1), (8, 2), (8, 8)]
NETWORK = networks.t5(vocab_size=64, emb_dim=64, num_heads=8, mlp_dim=128)
LENGTHS = np.random.default_rng(0).integers(0, 60, 50)
TEXTS = [
  "".join(chr(97 + (n * 7 + i * i) % 26) for i in range(length))
  for n, length in enumerate(LENGTHS)
]


def _judge(devices: int, model_parallel: int) -> judges.Judge:
  judge = asked.judge(NETWORK)
  mesh = partitioning.mesh(
    model_parallel=model_parallel, devices=jax.devices()[:devices]
  )
  placed = jax.device_put(
    judge.parameters, partitioning.parameter_shardings(NETWORK, mesh)
  )
  return judges.Judge(NETWORK, placed, judge.name, mesh)


def _ask_llm(judge: judges.Judge):
  return asked.scorer(judge, asked.question(48), length_step=24)


def _perplexity(judge: judges.Judge):
  return perplexity.Perplexity(
    judge=judge,
    tokenizer=asked.Letters(),
    objective=objectives.PrefixLm(prefix_share=0.5),
    max_input_tokens=32,
    windows="head",
    max_windows=1,
    length_step=32,
    batch_tokens=128,
    part_records=64,
  )


SCORERS = {"ask_llm": _ask_llm, "perplexity": _perplexity}


@functools.cache
def _scores(name: str, devices: int, model_parallel: int):
  return SCORERS[name](_judge(devices, model_parallel)).score(TEXTS)


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("devices, model_parallel", MESHES)
def test_scores_do_not_move_with_the_devices(name, devices, model_parallel):
  alone = _scores(name, 1, 1)
  found = _scores(name, devices, model_parallel)
  assert found.statuses == alone.statuses
  scored = np.array([status == "scored" for status in alone.statuses])
  assert scored.sum() > 40 and alone.columns["score"][scored].std() > 0.1
  for column, values in found.columns.items():
    np.testing.assert_allclose(
      values[scored], alone.columns[column][scored], rtol=1e-5, atol=1e-5
    )


def test_a_checkpoint_is_loaded_onto_all_devices(tmp_path):
  made = asked.judge(NETWORK)
  checkpoints.save_parameters(tmp_path / "made", made.parameters)
  judge = judges.load(
    network=NETWORK,
    checkpoint=str(tmp_path / "made"),
    kind="random",
    model_parallel=2,
  )
  assert judge.layout() == {"data": 4, "model": 2}
  assert judge.name["parameters"] == judges.fingerprint(made.parameters)
  found = _ask_llm(judge).score(TEXTS)
  expected = _scores("ask_llm", 8, 2)
  np.testing.assert_array_equal(
    found.columns["score"], expected.columns["score"]
  )


def test_large_parameters_are_split():
  judge = _judge(8, 8)
  kernel = judge.parameters["encoder"]["layers_0"]["mlp"]["wi_0"]["kernel"]
  assert kernel.addressable_shards[0].data.size == kernel.size // 8
  assert judge.layout() == {"data": 1, "model": 8}
