# SPDX-License-Identifier: Apache-2.0
"""The density kernels compile for a TPU at the paper's size, and fit.

1,000 rows of 20,000 buckets over 768 dimensions; blocks of 4,096 vectors.
"""

import jax.numpy as jnp

from data_efficient.kernels import hashing, kernel_density, sketch
from data_efficient.scorers import density
from tests.tpu import harness

ROWS, BUCKETS, DIMENSIONS, BLOCK = 1000, 20_000, 768, 4096
MEBIBYTE = 2**20


def hashes(mesh):
  shapes = hashing.PStableHash(
    directions=((DIMENSIONS, ROWS), jnp.float32),
    offsets=((ROWS,), jnp.float32),
    width=((), jnp.float32),
    multipliers=((ROWS,), jnp.uint32),
    shifts=((ROWS,), jnp.uint32),
  )
  return hashing.PStableHash(
    *(harness.struct(mesh, shape, dtype) for shape, dtype in shapes)
  )


def counters(mesh):
  return sketch.Sketch(
    counts=harness.struct(mesh, (ROWS, BUCKETS), jnp.int32),
    total=harness.struct(mesh, (), jnp.int32),
  )


def block(mesh, width=DIMENSIONS, dtype=jnp.float32):
  return harness.struct(mesh, (BLOCK, width), dtype, "data")


def mask(mesh):
  return harness.struct(mesh, (BLOCK,), jnp.bool_, "data")


def bucketed(hashes, vectors):
  return hashing.buckets(hashes, vectors, num_buckets=BUCKETS)


def test_hashing(chip, compile_for_tpu):
  compiled = compile_for_tpu(
    bucketed, hashes(chip), block(chip), limit=128 * MEBIBYTE
  )
  # A projection in bf16 would put vectors into other cells.
  assert "operand_precision={highest,highest}" in compiled.as_text()


def test_sketch_update(chip, compile_for_tpu):
  compile_for_tpu(
    lambda counters, found, mask: sketch.update(counters, found, mask=mask),
    counters(chip),
    block(chip, ROWS, jnp.int32),
    mask(chip),
    limit=512 * MEBIBYTE,
  )


def test_sketch_merge(chip, compile_for_tpu):
  compile_for_tpu(
    sketch.merge, counters(chip), counters(chip), limit=512 * MEBIBYTE
  )


def test_sketch_query(chip, compile_for_tpu):
  compile_for_tpu(
    sketch.query,
    counters(chip),
    block(chip, ROWS, jnp.int32),
    limit=512 * MEBIBYTE,
  )


def test_exact_kernel_sums(chip, compile_for_tpu):
  compile_for_tpu(
    lambda queries, data: kernel_density.kernel_sums(
      queries, data, width=1.0, block=BLOCK
    ),
    block(chip),
    harness.struct(chip, (16 * BLOCK, DIMENSIONS), jnp.float32),
    limit=1024 * MEBIBYTE,
  )


def test_pass_one_on_all_chips(slice_of_chips, compile_for_tpu):
  compile_for_tpu(
    density._absorb,
    counters(slice_of_chips),
    hashes(slice_of_chips),
    block(slice_of_chips),
    mask(slice_of_chips),
    limit=512 * MEBIBYTE,
  )


def test_pass_two_on_all_chips(slice_of_chips, compile_for_tpu):
  compile_for_tpu(
    density._query,
    counters(slice_of_chips),
    hashes(slice_of_chips),
    block(slice_of_chips),
    limit=512 * MEBIBYTE,
  )
