# SPDX-License-Identifier: Apache-2.0
"""Greedy facility location compiles for TPUs, on a chip and a slice, and fits.

20,000 records beside themselves, 30% of them picked: DELIFT's pool. The kernel
has 1.5 GiB on one chip; on a slice each has its rows' share. Also the nearest
neighbours of embeddings, for pools that are too large for that.
"""

import functools

import jax.numpy as jnp
import pytest
from jax.sharding import Mesh

from data_efficient.kernels import neighbours, submodular, submodular_mesh
from data_efficient.models import topologies
from tests.tpu import harness

RECORDS, COUNT = 20_000, 6_000
MEBIBYTE = 2**20
# The kernel, and a tenth for what its rows and columns are gathered into.
LIMIT = int(1.1 * 4 * RECORDS**2)
CHIPS = ("v5e", "v6e")


def _problem(mesh, rows, axis=None):
  def struct(shape, *split):
    return harness.struct(mesh, shape, jnp.float32, *split)

  row = (axis,) if axis else ()
  return submodular.Problem(
    kernel=struct((rows, RECORDS), *row),
    floor=struct((rows,), *row),
    cap=struct((rows,), *row),
    weight=struct((rows,), *row),
    modular=struct((RECORDS,)),
  )


@pytest.mark.parametrize("chip", CHIPS)
def test_all_picks_on_one_chip(chip, tpu_slice, compile_for_tpu):
  one = Mesh(tpu_slice(chip)[:1], ("data",))

  def picks(what):
    return submodular.greedy(what, submodular.init(what), count=COUNT)

  compile_for_tpu(
    picks,
    _problem(one, RECORDS),
    limit=LIMIT,
    options=topologies.QUICKLY,
  )


@pytest.mark.parametrize("chip", CHIPS)
def test_rows_on_a_slice(chip, tpu_slice, compile_for_tpu):
  mesh = Mesh(tpu_slice(chip), (submodular_mesh.AXIS,))
  compiled = compile_for_tpu(
    submodular_mesh.picker(mesh, COUNT),
    _problem(mesh, RECORDS, submodular_mesh.AXIS),
    limit=LIMIT // mesh.size,
    options=topologies.QUICKLY,
  )
  text = compiled.as_text()
  # Gains are summed; no device asks for another's rows.
  assert "all-reduce" in text and "all-gather" not in text


@pytest.mark.parametrize("chip", CHIPS)
def test_nearest_neighbours(chip, tpu_slice, compile_for_tpu):
  one = Mesh(tpu_slice(chip)[:1], ("data",))
  struct = functools.partial(harness.struct, one)
  queries, keys, near, width = 1024, 8192, 64, 768
  found = neighbours.Nearest(
    struct((queries, near), jnp.float32), struct((queries, near), jnp.int32)
  )
  compiled = compile_for_tpu(
    neighbours.merge,
    found,
    struct((queries, width), jnp.float32),
    struct((keys, width), jnp.float32),
    struct((), jnp.int32),
    struct((), jnp.int32),
    limit=400 * MEBIBYTE,
    options=topologies.QUICKLY,
  )
  assert "operand_precision={highest,highest}" in compiled.as_text()
