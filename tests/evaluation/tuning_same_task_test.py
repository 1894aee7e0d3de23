# SPDX-License-Identifier: Apache-2.0
"""What examples help, from a utility kernel, against loops over pairs."""

import numpy as np
import pytest

from data_efficient.data import utility_blocks, utility_kernel_writer
from data_efficient.data.utility_kernels import UtilityKernel
from data_efficient.evaluation.tuning import helpers, same_task

TARGETS = ("sum", "sum", "spell", None, "spell", "alone")
EXAMPLES = ("spell", "sum", "sum", None, "spell", "sum", "other")


def _axis(first, count):
  return utility_blocks.Axis(
    [f"{first}.jsonl"] * count,
    np.full(count, first, np.uint64),
    np.arange(count),
    # Example 1 is target 0: that pair is masked.
    np.arange(count, dtype=np.uint64) + np.uint64(10 * first),
    ["scored"] * count,
  )


@pytest.fixture
def kernel(tmp_path):
  random = np.random.default_rng(0)
  values = random.normal(size=(len(TARGETS), len(EXAMPLES)))
  values += [[0.5 * (t == e) for e in EXAMPLES] for t in TARGETS]
  # A masked pair reads as 0, which would be the greatest of its row.
  values[0] -= 5.0
  targets, examples = _axis(1, len(TARGETS)), _axis(2, len(EXAMPLES))
  examples.fingerprints[1] = targets.fingerprints[0]
  with utility_kernel_writer.UtilityKernelWriter(
    tmp_path, identity={}, targets=targets, examples=examples, block=(4, 3)
  ) as writer:
    writer.write_alone(np.ones(len(TARGETS), np.float32))
    for place in writer.missing():
      block = values[place.targets, place.examples].astype(np.float32)
      writer.write(place, block)
    writer.finish()
  values[0, 1] = np.nan
  return UtilityKernel.open(tmp_path), values


def test_means_are_those_of_a_loop(kernel):
  opened, values = kernel
  means = []
  # No example is of the last target's task, and the fourth has none.
  for target in (0, 1, 2, 4):
    same, other = [], []
    for column, task in enumerate(EXAMPLES):
      if task and not np.isnan(values[target, column]):
        own = task == TARGETS[target]
        (same if own else other).append(values[target, column])
    means.append((np.mean(same), np.mean(other)))
  same, other = np.transpose(means)
  found = same_task.of(opened, TARGETS, EXAMPLES)
  assert found["targets"] == 4
  assert found["same"]["value"] == pytest.approx(same.mean(), abs=1e-6)
  assert found["other"]["value"] == pytest.approx(other.mean(), abs=1e-6)
  difference = found["difference"]
  assert difference["value"] == pytest.approx((same - other).mean(), abs=1e-6)
  assert difference["interval"][0] < difference["value"]
  assert difference["interval"][1] > difference["value"]
  assert found["helped"] == np.mean(same > other)


def test_nothing_is_said_of_one_task(kernel):
  opened, _ = kernel
  tasks = ["sum"] * len(TARGETS), ["sum"] * len(EXAMPLES)
  assert same_task.of(opened, *tasks) is None


def test_the_examples_of_greatest_utility(kernel):
  opened, values = kernel
  targets = np.array([0, 2, 3, 5])
  found = helpers.of(opened, targets)
  assert [each.target for each in found] == targets.tolist()
  for each in found:
    ranked = sorted(
      (-values[each.target, n].astype(np.float32), n)
      for n in range(len(EXAMPLES))
      if not np.isnan(values[each.target, n])
    )[: helpers.EXAMPLES]
    assert each.examples == [n for _, n in ranked]
    assert each.utilities == [-u for u, _ in ranked]


def test_records_of_an_axis_that_are_kept():
  axis = _axis(1, 4)._replace(files=["a", "b", "a", "b"])
  kept = {"a": np.array([0, 3]), "b": np.array([0, 3]), "c": np.array([1])}
  assert helpers.among(axis, kept).tolist() == [True, False, False, True]
