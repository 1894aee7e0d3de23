# SPDX-License-Identifier: Apache-2.0
"""Sizes against sums written by hand, and T5's own."""

import pytest

from data_efficient.evaluation import model_sizes, runs
from data_efficient.models import published
from tests.evaluation import fakes, sizes


def _runs(root, networks):
  """A run a network, in this order: (count, compared_by's network)."""
  found = []
  for index, (count, network) in enumerate(networks):
    compared_by = {**fakes.COMPARED_BY, "network": network}
    for seed in range(count):
      facts = {"seed": seed, "compared_by": compared_by}
      directory = fakes.write_run(root / f"{index}-{seed}", facts=facts)
      found.append(runs.read_run(directory))
  return found


def _by_hand(d):
  """Weights of one encoder and one decoder layer of 2 heads of 8."""
  attention = 4 * d * 16
  mlp = 3 * d * 2 * d  # gated: two in, one out
  norms = (2 + 1) * d + (3 + 1) * d  # a block's each, and a stack's last
  positions = 2 * 32 * 2  # 32 buckets, 2 heads, 2 stacks
  return attention + mlp + 2 * attention + mlp + norms + positions


@pytest.mark.parametrize("width", [16, 32])
def test_parameters_by_hand(width):
  whole, inner = model_sizes.count(sizes.network(width))
  assert inner == _by_hand(width)
  assert whole == inner + 2 * 640 * width


def test_a_decoder_alone_has_less():
  sizes_of = sizes.network(16)
  del sizes_of["num_encoder_layers"]
  assert model_sizes.count(sizes_of)[1] < _by_hand(16)


def test_what_is_no_network_of_ours_has_no_size(tmp_path):
  assert model_sizes.count({"emb_dim": 96, "num_heads": 3}) == (None, None)
  assert model_sizes.count({**sizes.network(16), "dtype": "int8"})[0] is None
  (found,) = model_sizes.networks(_runs(tmp_path, [(1, None)]))
  assert found.name == "unknown network" and found.parameters is None


def test_names_are_published_ones_or_counts(tmp_path):
  small = vars(published.t5_1_1(size="small", dtype="float32"))
  # A vocabulary of another size is the same network.
  small = {k: v for k, v in small.items() if k != "remat"} | {"vocab_size": 640}
  found = _runs(tmp_path, [(1, sizes.network(16)), (1, small)])
  names = [each.name for each in model_sizes.networks(found)]
  assert names == ["6.4K", "T5-Small"]


def test_the_main_network_has_most_runs_and_of_equal_ones_is_the_smallest(
  tmp_path,
):
  small, middle, large = (sizes.network(width) for width in (16, 32, 64))
  found = _runs(tmp_path / "a", [(1, large), (2, middle), (1, small)])
  assert [len(each.runs) for each in model_sizes.networks(found)] == [2, 1, 1]
  widths = [
    each.runs[0].compared_by["network"]["emb_dim"]
    for each in model_sizes.networks(found)
  ]
  assert widths == [32, 16, 64]
  found = _runs(tmp_path / "b", [(2, large), (1, middle), (2, small)])
  main = model_sizes.networks(found)[0]
  assert main.runs[0].compared_by["network"]["emb_dim"] == 16


def test_networks_of_one_size_are_told_apart(tmp_path):
  rounded = sizes.network(16, dtype="bfloat16")
  found = _runs(tmp_path, [(2, sizes.network(16)), (1, rounded)])
  names = [each.name for each in model_sizes.networks(found)]
  assert names == ["6.4K (dtype float32)", "6.4K (dtype bfloat16)"]
