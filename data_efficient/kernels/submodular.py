# SPDX-License-Identifier: Apache-2.0
"""Facility location in all its forms, maximised greedily.

  f(A) = Σᵢ wᵢ (max(bᵢ, max_{j∈A} min(sᵢⱼ, cᵢ)) − bᵢ) + Σ_{j∈A} aⱼ

Rows i are what is to be represented, columns j the candidates. With floors b,
caps c and modular gains a this one function is

  facility location   b = 0, c = ∞, a = 0
  FLCG, ν             bᵢ = ν max_{k∈E} sᵢₖ: what was known before
  FL1MI, η            cᵢ = η max_{q∈Q} sᵢ_q: what a target asks for
  FL2MI, η            rows are the targets, aⱼ = η max_{q∈Q} s_qⱼ
  as DELIFT prints    rows are the pool, aⱼ = η max_{q∈Q} s_qⱼ

(DELIFT, arXiv 2411.04425, Sec. 3; Iyer et al. 2021 for FLMI and FLCG). It is
monotone and submodular for a ≥ 0, w ≥ 0; a greedy set of k is worth at least
1 − 1/e of the best one.

A pick raises the covers of some rows, fewer and fewer as the set grows. Only
their share of the candidates' gains is counted again, so that the picks of a
budget cost about n² log k and not n² k.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

ROWS = 32  # whose gains are counted again at once

Kernel = Float[Array, "i j"] | Float[np.ndarray, "i j"]


class Problem(NamedTuple):
  """What is maximised.

  Attributes:
    kernel: s, float32; what is not above the floor counts nothing.
    floor: b, from 0.
    cap: c; infinity for none.
    weight: w of the rows, from 0.
    modular: a of the candidates.
  """

  kernel: Float[Array, "i j"]
  floor: Float[Array, " i"]
  cap: Float[Array, " i"]
  weight: Float[Array, " i"]
  modular: Float[Array, " j"]


class State(NamedTuple):
  """A set, as far as further picks depend on it.

  Attributes:
    cover: max(bᵢ, max_{j∈A} min(sᵢⱼ, cᵢ)).
    gain: f(A ∪ {j}) − f(A) of each candidate.
    taken: which candidates are in A, or may not be.
  """

  cover: Float[Array, " i"]
  gain: Float[Array, " j"]
  taken: Bool[Array, " j"]


class Picks(NamedTuple):
  """Candidates in the order in which they were taken.

  Attributes:
    candidates: −1 where nothing was left.
    gains: what each added, 0 there.
  """

  candidates: Int[Array, " k"]
  gains: Float[Array, " k"]


def problem(
  kernel: Kernel,
  *,
  floor: Float[np.ndarray, " i"] | None = None,
  cap: Float[np.ndarray, " i"] | None = None,
  weight: Float[np.ndarray, " i"] | None = None,
  modular: Float[np.ndarray, " j"] | None = None,
) -> Problem:
  """Returns the problem; plain facility location by default."""
  rows, columns = kernel.shape

  def filled(values, count: int, default: float) -> Array:
    if values is None:
      return jnp.full(count, default, jnp.float32)
    return jnp.asarray(values, jnp.float32)

  return Problem(
    kernel=jnp.asarray(kernel, jnp.float32),
    floor=jnp.maximum(filled(floor, rows, 0.0), 0.0),
    cap=filled(cap, rows, np.inf),
    weight=filled(weight, rows, 1.0),
    modular=filled(modular, columns, 0.0),
  )


@jax.jit
def init(what: Problem) -> State:
  """Returns the empty set and the gains of all candidates."""
  return State(
    cover=what.floor,
    gain=_gains(what, what.floor),
    taken=jnp.zeros(what.modular.shape, bool),
  )


def take(what: Problem, state: State, candidate: Int[Array, ""]) -> State:
  """Returns the set with one more candidate."""
  found = jnp.minimum(what.kernel[:, candidate], what.cap)
  cover = jnp.maximum(state.cover, found)
  changed = cover > state.cover
  rows = jnp.nonzero(changed, size=_padded(len(changed)), fill_value=0)[0]

  def fewer(chunk, gain):
    start = chunk * ROWS
    some = jax.lax.dynamic_slice_in_dim(rows, start, ROWS)
    there = start + jnp.arange(ROWS) < changed.sum()
    some_of = what._replace(
      kernel=what.kernel[some],
      cap=what.cap[some],
      weight=jnp.where(there, what.weight[some], 0.0),
    )
    return gain - _covered(
      some_of, some_of.kernel, state.cover[some], cover[some]
    )

  chunks = -(-changed.sum() // ROWS)
  return State(
    cover=cover,
    gain=jax.lax.fori_loop(0, chunks, fewer, state.gain),
    taken=state.taken.at[candidate].set(True),
  )


@functools.partial(jax.jit, static_argnames=("count",), donate_argnums=1)
def greedy(what: Problem, state: State, *, count: int) -> tuple[State, Picks]:
  """Adds the candidate of the largest gain, `count` times.

  Of equal gains the first candidate. Gains are what is left of those that were
  counted last; after picks 4, 16, 64, … of a call all are counted anew, so
  that what rounding leaves of a gain stays about a millionth of it.

  Args:
    what: the problem.
    state: of `init`, or of an earlier call; consumed.
    count: picks.
  """

  def pick(number, carry):
    state, picks = carry
    gain = jnp.where(state.taken, -jnp.inf, state.gain)
    best = jnp.argmax(gain)
    left = gain[best] > -jnp.inf
    added = jnp.maximum(jnp.where(left, gain[best], 0.0), 0.0)
    picks = Picks(
      picks.candidates.at[number].set(jnp.where(left, best, -1)),
      picks.gains.at[number].set(added),
    )
    state = take(what, state, best)
    again = jax.lax.population_count(number + 1) == 1
    again &= (number + 1) & 0x55555555 > 0
    gain = jax.lax.cond(
      again, lambda: _gains(what, state.cover), lambda: state.gain
    )
    return state._replace(gain=gain), picks

  nothing = Picks(jnp.full(count, -1, jnp.int32), jnp.zeros(count, jnp.float32))
  return jax.lax.fori_loop(0, count, pick, (state, nothing))


@jax.jit
def value(
  what: Problem, members: Bool[Array, " j"] | Bool[np.ndarray, " j"]
) -> Float[Array, ""]:
  """Returns f of a set."""
  members = jnp.asarray(members)
  seen = jnp.where(members[None, :], what.kernel, -jnp.inf).max(axis=1)
  cover = jnp.maximum(what.floor, jnp.minimum(seen, what.cap))
  rows = (what.weight * (cover - what.floor)).sum()
  return rows + jnp.where(members, what.modular, 0.0).sum()


@functools.partial(jax.jit, static_argnames=("count",))
def upper_bound(what: Problem, state: State, *, count: int) -> Float[Array, ""]:
  """Returns no less than the best f of any `count` candidates, less f(A).

  max f ≤ f(A) + the sum of the `count` largest gains beyond A, for a monotone
  submodular f (Leskovec et al. 2007, "Cost-effective outbreak detection in
  networks", Sec. 3.2): what certifies a greedy set.
  """
  gain = jnp.maximum(_gains(what, state.cover), 0.0)
  return jax.lax.top_k(gain, count)[0].sum()


def _gains(what: Problem, cover: Float[Array, " i"]) -> Float[Array, " j"]:
  """Gains of all candidates, a block of rows at a time."""
  rows = len(cover)
  # Rows that are missing from the last block weigh nothing.
  missing = _padded(rows) - rows

  def blocks(values):
    padding = ((0, missing), *((0, 0),) * (values.ndim - 1))
    values = jnp.pad(values, padding)
    return values.reshape(-1, ROWS, *values.shape[1:])

  def more(gain, block):
    kernel, cap, weight, cover = block
    some = what._replace(cap=cap, weight=weight)
    return gain + _covered(some, kernel, cover, cover + jnp.inf), None

  parts = tuple(map(blocks, (what.kernel, what.cap, what.weight, cover)))
  return jax.lax.scan(more, what.modular, parts)[0]


def _covered(
  what: Problem,
  kernel: Float[Array, "r j"],
  low: Float[Array, " r"],
  high: Float[Array, " r"],
) -> Float[Array, " j"]:
  """Σ over rows of w times what of min(s, c) lies between two covers."""
  found = jnp.minimum(kernel, what.cap[:, None])
  within = jnp.clip(found, low[:, None], high[:, None]) - low[:, None]
  return what.weight @ within


def _padded(count: int) -> int:
  return -(-count // ROWS) * ROWS
