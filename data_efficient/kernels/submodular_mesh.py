# SPDX-License-Identifier: Apache-2.0
"""Greedy facility location with a kernel's rows split over a mesh.

Each device has the targets that it has; gains of all candidates are summed over
devices once a pick, and all of them know the set.
"""

import functools

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from data_efficient.kernels import submodular

AXIS = "data"

_ROWS, _WHOLE = PartitionSpec(AXIS), PartitionSpec()
PROBLEM = submodular.Problem(
  kernel=PartitionSpec(AXIS, None),
  floor=_ROWS,
  cap=_ROWS,
  weight=_ROWS,
  modular=_WHOLE,
)
STATE = submodular.State(cover=_ROWS, gain=_WHOLE, taken=_WHOLE)


def placed(mesh: Mesh, what: submodular.Problem) -> submodular.Problem:
  """Returns a problem with its rows split over the mesh.

  Args:
    mesh: with one axis, "data".
    what: its number of rows is a multiple of the number of devices; rows that
      weigh 0 fill up.
  """
  return jax.tree.map(
    lambda leaf, spec: jax.device_put(leaf, NamedSharding(mesh, spec)),
    what,
    PROBLEM,
  )


def greedy(
  mesh: Mesh, what: submodular.Problem, *, count: int
) -> tuple[submodular.State, submodular.Picks]:
  """Returns `submodular.greedy` of the empty set.

  Args:
    mesh: with one axis, "data".
    what: of `placed`.
    count: picks.
  """
  return picker(mesh, count)(what)


@functools.cache
def picker(mesh: Mesh, count: int):
  """The compiled function of a problem, for a number of picks."""

  def on_one(what):
    state = submodular.init(what, axis=AXIS)
    return submodular.greedy(what, state, count=count, axis=AXIS)

  return jax.jit(
    jax.shard_map(
      on_one,
      mesh=mesh,
      in_specs=(PROBLEM,),
      out_specs=(STATE, submodular.Picks(_WHOLE, _WHOLE)),
      check_vma=False,
    )
  )
