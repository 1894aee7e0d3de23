# SPDX-License-Identifier: Apache-2.0
"""Utility kernels on disk: blocks, masks, transforms, resume."""

import itertools

import numpy as np
import pytest

from data_efficient.data import utility_kernel_writer, utility_kernels
from data_efficient.data.artifacts import ArtifactError
from data_efficient.data.utility_blocks import Axis, PairStatus
from data_efficient.data.utility_kernels import UtilityKernel

TARGETS, EXAMPLES, BLOCK = 7, 5, (3, 2)
# Row 2 is unscorable; target 4 is a copy of example 1; targets 0 to 4 are the
# records of the examples.
UNSCORABLE, COPY = 2, (4, 1)


def _axis(count, *, unscorable=(), content=1):
  fingerprints = np.arange(100, 100 + count, dtype=np.uint64)
  if count == TARGETS:
    fingerprints[COPY[0]] = 100 + COPY[1]
  return Axis(
    ["a.jsonl"] * count,
    np.full(count, content, np.uint64),
    np.arange(count),
    fingerprints,
    [
      "unscorable(too long)" if row in unscorable else "scored"
      for row in range(count)
    ],
  )


def _values():
  values = np.random.default_rng(0).normal(size=(TARGETS, EXAMPLES))
  values = values.astype(np.float32)
  values[UNSCORABLE] = np.nan
  values[6, 0] = np.nan  # what a model had no number for
  return values


def _writer(directory, *, member=0, **change):
  settings = {
    "identity": {"scorer": {"distance": "euclidean"}},
    "targets": _axis(TARGETS, unscorable=[UNSCORABLE]),
    "examples": _axis(EXAMPLES),
    "block": BLOCK,
  } | change
  return utility_kernel_writer.UtilityKernelWriter(
    directory, member=member, **settings
  )


def _write(directory, order=None, **change):
  values = _values()
  with _writer(directory, **change) as writer:
    writer.write_alone(np.arange(TARGETS, dtype=np.float32))
    missing = writer.missing()
    for number in order or range(len(missing)):
      place = missing[number]
      writer.write(place, values[place.targets, place.examples])
    writer.finish()
  return UtilityKernel.open(directory)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
  return _write(tmp_path_factory.mktemp("kernel") / "kernel")


def test_axes_shape_and_records(kernel):
  assert kernel.axes == ("target", "example")
  assert kernel.shape == (TARGETS, EXAMPLES)
  assert kernel.targets.statuses[UNSCORABLE] == "unscorable(too long)"
  np.testing.assert_array_equal(kernel.examples.positions, range(EXAMPLES))
  assert kernel.targets.files == ["a.jsonl"] * TARGETS
  assert kernel.targets.fingerprints.dtype == np.uint64
  np.testing.assert_array_equal(kernel.alone, range(TARGETS))


def test_a_status_says_what_each_pair_is(kernel):
  expected = np.zeros((TARGETS, EXAMPLES), int)
  expected[range(EXAMPLES), range(EXAMPLES)] = PairStatus.SELF
  # Not itself: the record stands in the same place, and has another text.
  expected[4, 4] = PairStatus.SCORED
  expected[COPY] = PairStatus.DUPLICATE
  expected[UNSCORABLE] = PairStatus.UNSCORABLE
  expected[6, 0] = PairStatus.NON_FINITE
  np.testing.assert_array_equal(kernel.statuses(), expected)
  assert kernel.scored == (expected == 0).sum() and kernel.non_finite == 1


def test_what_is_masked_reads_as_no_help(kernel):
  values, mask = _values(), kernel.mask()
  np.testing.assert_array_equal(mask, kernel.statuses() != 0)
  clipped = np.where(mask, 0, np.maximum(values, 0))
  np.testing.assert_array_equal(kernel.read(), clipped)
  np.testing.assert_array_equal(kernel.read("raw"), np.where(mask, 0, values))
  powers = np.where(mask, 0, np.exp(values))
  np.testing.assert_allclose(kernel.read("exp"), powers, rtol=1e-6)
  assert kernel.read().dtype == np.float32
  assert (kernel.read("raw") < 0).any()


def test_a_reader_may_want_selves_and_copies(kernel):
  whole = UtilityKernel(kernel._manifest, masked=())
  mask = whole.mask()
  assert mask.sum() == EXAMPLES + 1  # the unscorable row, and the nan
  np.testing.assert_array_equal(whole.read("raw"), np.where(mask, 0, _values()))


def test_one_scale_for_all_kernels_that_are_read_together(kernel, tmp_path):
  far = _axis(TARGETS, content=9)  # nothing is masked for being itself
  other = _write(
    tmp_path / "other", targets=far._replace(fingerprints=far.fingerprints + 50)
  )
  scale = utility_kernels.min_max([kernel, other])
  both = [one.read("raw")[~one.mask()] for one in (kernel, other)]
  low = min(one.min() for one in both)
  high = max(one.max() for one in both)
  for one, values in zip((kernel, other), both, strict=True):
    np.testing.assert_allclose(
      one.read(scale)[~one.mask()], (values - low) / (high - low), atol=1e-6
    )
  own = utility_kernels.min_max([kernel])
  assert not np.allclose(kernel.read(scale), kernel.read(own))


def test_blocks_are_the_kernel(kernel):
  found = np.full((TARGETS, EXAMPLES), np.nan)
  for block in kernel.blocks("raw"):
    assert block.values.shape <= BLOCK
    found[block.targets, block.examples] = block.values
  np.testing.assert_array_equal(found, kernel.read("raw"))


def _bytes(directory):
  return {
    path.name: path.read_bytes()
    for path in directory.iterdir()
    if path.name != ".lock"
  }


def test_what_is_killed_between_blocks_goes_on_to_the_same_bytes(tmp_path):
  values = _values()
  _write(tmp_path / "alone")
  for stop in (0, 1, 4):
    output = tmp_path / f"stopped{stop}"
    with _writer(output) as writer:
      writer.write_alone(np.arange(TARGETS, dtype=np.float32))
      for place in writer.missing()[:stop]:
        writer.write(place, values[place.targets, place.examples])
    (output / "000000-000001.block.tmp").write_bytes(b"half")
    with _writer(output) as writer:
      assert len(writer.missing()) == 9 - stop
      np.testing.assert_array_equal(writer.alone(), range(TARGETS))
      for place in reversed(writer.missing()):
        writer.write(place, values[place.targets, place.examples])
      writer.finish()
    assert _bytes(output) == _bytes(tmp_path / "alone")


def test_members_write_together(tmp_path):
  values = _values()
  alone = _write(tmp_path / "alone")
  with _writer(tmp_path / "k") as first, _writer(tmp_path / "k", member=1) as m:
    first.write_alone(np.arange(TARGETS, dtype=np.float32))
    for writer, place in zip(
      itertools.cycle((first, m)), first.missing(), strict=False
    ):
      writer.write(place, values[place.targets, place.examples])
    first.finish()
  assert _bytes(tmp_path / "k") == _bytes(alone._manifest.directory)


def test_a_missing_block_is_no_kernel(tmp_path):
  with _writer(tmp_path / "k") as writer:
    writer.write_alone(np.zeros(TARGETS, np.float32))
    with pytest.raises(ArtifactError, match="9 of 9 blocks are missing"):
      writer.finish()
  with pytest.raises(ArtifactError, match="unfinished"):
    UtilityKernel.open(tmp_path / "k")


def test_a_damaged_block_is_named(tmp_path):
  kernel = _write(tmp_path / "k")
  path = tmp_path / "k" / "000001-000002.block"
  data = bytearray(path.read_bytes())
  data[3] ^= 1
  path.write_bytes(data)
  with pytest.raises(ArtifactError, match=r"000001-000002\.block: damaged"):
    kernel.read()


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"identity": {"scorer": {"distance": "mean"}}}, "scorer.distance"),
    ({"block": (2, 2)}, "block"),
  ],
)
def test_another_kernel_is_refused_by_what_differs(kernel, change, said):
  with pytest.raises(ArtifactError, match=said):
    _writer(kernel._manifest.directory, **change)


@pytest.mark.parametrize(
  "change", [{"examples": _axis(0)}, {"targets": _axis(0)}, {"block": (0, 1)}]
)
def test_a_kernel_without_pairs_is_refused(tmp_path, change):
  with pytest.raises(ArtifactError, match="at least one"):
    _writer(tmp_path / "k", **change)


def test_transforms_that_cannot_be(kernel):
  with pytest.raises(ValueError, match="'minmax': expected one of"):
    kernel.read("minmax")
  with pytest.raises(ValueError, match="not finite"):
    kernel.read(lambda values: values + np.inf)


def test_a_block_of_another_shape_is_refused(tmp_path):
  with _writer(tmp_path / "k") as writer:
    with pytest.raises(ArtifactError, match="expected \\(3, 2\\)"):
      writer.write(writer.missing()[0], np.zeros((2, 3), np.float32))
