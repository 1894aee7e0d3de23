# SPDX-License-Identifier: Apache-2.0
"""The density kernels compile for TPUs at the paper's size, and fit.

1,000 rows of 20,000 buckets over 768 dimensions; blocks of 4,096 vectors a
chip. Counters are 76 MiB; a pass holds the old ones, a block and a chunk.
"""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import Mesh

from data_efficient.kernels import (
  angular,
  kernel_density,
  p_stable,
  sketch,
  sketch_mesh,
)
from data_efficient.models import topologies
from tests.tpu import harness

ROWS, BUCKETS, DIMENSIONS, BLOCK = 1000, 20_000, 768, 4096
MEBIBYTE = 2**20
LIMIT = 400 * MEBIBYTE  # a tenth above what a pass needs
FAMILIES = {
  "p_stable": functools.partial(p_stable.init, width=1.0),
  "p_stable_structured": functools.partial(
    p_stable.init, width=1.0, structured=True
  ),
  "angular": functools.partial(angular.init, bits=8),
}
CASES = [
  ("v5e", "p_stable"),
  ("v6e", "p_stable"),
  ("v5e", "p_stable_structured"),
  ("v6e", "angular"),
]


def _one(devices):
  return Mesh(devices[:1], (sketch_mesh.AXIS,))


@pytest.fixture(params=["v5e", "v6e"])
def all_chips(request, tpu_slice):
  return Mesh(tpu_slice(request.param), (sketch_mesh.AXIS,))


def _on(mesh, shapes):
  return jax.tree.map(
    lambda leaf: harness.struct(mesh, leaf.shape, leaf.dtype), shapes
  )


def hashes(mesh, family="p_stable"):
  shapes = jax.eval_shape(
    lambda key: FAMILIES[family](key, dimensions=DIMENSIONS, num_rows=ROWS),
    jax.eval_shape(lambda: jax.random.key(0)),
  )
  return _on(mesh, shapes)


def counters(mesh):
  return sketch.Sketch(
    counts=harness.struct(mesh, (ROWS, BUCKETS), jnp.int32),
    total=harness.struct(mesh, (), jnp.int32),
  )


def block(mesh):
  size = (BLOCK * mesh.size, DIMENSIONS)
  return harness.struct(mesh, size, jnp.float32, "data")


def mask(mesh):
  return harness.struct(mesh, (BLOCK * mesh.size,), jnp.bool_, "data")


def _check_product(compiled):
  text = compiled.as_text()
  # A projection in bf16 would put vectors into other cells.
  assert "operand_precision={highest,highest}" in text
  assert "scatter(" not in text and " gather(" not in text


@pytest.mark.parametrize("chip, family", CASES)
def test_an_update(chip, family, tpu_slice, compile_for_tpu):
  one = _one(tpu_slice(chip))
  compiled = compile_for_tpu(
    lambda *some: sketch.update(*some[:3], mask=some[3]),
    counters(one),
    hashes(one, family),
    block(one),
    mask(one),
    limit=LIMIT,
    options=topologies.QUICKLY,
  )
  _check_product(compiled)


@pytest.mark.parametrize("chip, family", CASES)
def test_a_query(chip, family, tpu_slice, compile_for_tpu):
  one = _one(tpu_slice(chip))
  compiled = compile_for_tpu(
    sketch.query,
    counters(one),
    hashes(one, family),
    block(one),
    limit=LIMIT,
    options=topologies.QUICKLY,
  )
  _check_product(compiled)


def test_merging(chip, compile_for_tpu):
  compile_for_tpu(sketch.merge, counters(chip), counters(chip), limit=LIMIT)


def test_exact_kernel_sums(chip, compile_for_tpu):
  compile_for_tpu(
    lambda queries, data: kernel_density.kernel_sums(
      queries, data, width=1.0, block=BLOCK
    ),
    block(chip),
    harness.struct(chip, (16 * BLOCK, DIMENSIONS), jnp.float32),
    limit=1024 * MEBIBYTE,
  )


def test_pass_one_on_all_chips(all_chips, compile_for_tpu):
  split = sketch.Sketch(
    counts=harness.struct(
      all_chips, (all_chips.size, ROWS, BUCKETS), jnp.int32, "data"
    ),
    total=harness.struct(all_chips, (all_chips.size,), jnp.int32, "data"),
  )
  compiled = compile_for_tpu(
    lambda *some: sketch_mesh.update(all_chips, *some[:3], mask=some[3]),
    split,
    hashes(all_chips),
    block(all_chips),
    mask(all_chips),
    limit=LIMIT,
    options=topologies.QUICKLY,
  )
  # Nothing is sent before all vectors are counted.
  assert "all-reduce" not in compiled.as_text()
  assert "all-gather" not in compiled.as_text()


def test_pass_two_on_all_chips(all_chips, compile_for_tpu):
  compiled = compile_for_tpu(
    functools.partial(sketch_mesh.query, all_chips),
    counters(all_chips),
    hashes(all_chips),
    block(all_chips),
    limit=LIMIT,
    options=topologies.QUICKLY,
  )
  assert "all-reduce" not in compiled.as_text()
