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


@functools.partial(jax.jit, static_argnames=("axis",))
def init(what: Problem, *, axis: str | None = None) -> State:
  """Returns the empty set and the gains of all candidates.

  Args:
    what: the problem.
    axis: of a mesh over which its rows are split (`submodular_mesh`).
  """
  return State(
    cover=what.floor,
    gain=_gains(what, what.floor, axis),
    taken=jnp.zeros(what.modular.shape, bool),
  )


def take(
  what: Problem,
  state: State,
  candidate: Int[Array, ""],
  *,
  axis: str | None = None,
) -> State:
  """Returns the set with one more candidate."""
  cover = _raised(what, state.cover, candidate)
  changed = cover > state.cover
  rows = jnp.nonzero(changed, size=_padded(len(changed)), fill_value=0)[0]

  def more(chunk, lost):
    start = chunk * ROWS
    some = jax.lax.dynamic_slice_in_dim(rows, start, ROWS)
    there = start + jnp.arange(ROWS) < changed.sum()
    some_of = what._replace(
      kernel=what.kernel[some],
      cap=what.cap[some],
      weight=jnp.where(there, what.weight[some], 0.0),
    )
    return lost + _covered(
      some_of, some_of.kernel, state.cover[some], cover[some]
    )

  chunks = -(-changed.sum() // ROWS)
  lost = jax.lax.fori_loop(0, chunks, more, jnp.zeros_like(state.gain))
  return State(
    cover=cover,
    gain=state.gain - _total(lost, axis),
    taken=state.taken.at[candidate].set(True),
  )


@functools.partial(jax.jit, static_argnames=("count", "axis"), donate_argnums=1)
def greedy(
  what: Problem, state: State, *, count: int, axis: str | None = None
) -> tuple[State, Picks]:
  """Adds the candidate of the largest gain, up to `count` times.

  Of equal gains the first candidate. Gains are what is left of those that were
  counted last; after picks 4, 16, 64, … of a call all are counted anew, so
  that what rounding leaves of a gain stays about a millionth of it; and where
  the best candidate turns out to add nothing. It ends where none adds anything.

  Args:
    what: the problem.
    state: of `init`, or of an earlier call; consumed.
    count: picks.
    axis: of a mesh over which rows are split, see `submodular_mesh`.
  """

  def best_of(state):
    gain = jnp.where(state.taken, -jnp.inf, state.gain)
    best = jnp.argmax(gain)
    return best, jnp.where(
      state.taken[best], 0.0, _added(what, state, best, axis)
    )

  def counted(state):
    return state._replace(gain=_gains(what, state.cover, axis))

  def pick(carry):
    number, state, picks, _ = carry
    due = jax.lax.population_count(number) == 1
    due &= number & 0x55555554 > 0
    due |= best_of(state)[1] <= 0
    state = jax.lax.cond(due, counted, lambda same: same, state)
    best, added = best_of(state)
    there = added > 0
    picks = Picks(
      picks.candidates.at[number].set(jnp.where(there, best, -1)),
      picks.gains.at[number].set(jnp.where(there, added, 0.0)),
    )
    state = jax.lax.cond(
      there,
      lambda state: take(what, state, best, axis=axis),
      lambda same: same,
      state,
    )
    return number + 1, state, picks, there

  def goes_on(carry):
    number, _, _, there = carry
    return (number < count) & there

  nothing = Picks(jnp.full(count, -1, jnp.int32), jnp.zeros(count, jnp.float32))
  begin = jnp.int32(0), state, nothing, jnp.bool_(True)
  _, state, picks, _ = jax.lax.while_loop(goes_on, pick, begin)
  return state, picks


def _gains(
  what: Problem, cover: Float[Array, " i"], axis: str | None
) -> Float[Array, " j"]:
  """Gains of all candidates, a block of rows at a time."""
  rows = len(cover)
  size = min(ROWS, rows)

  def more(block, gain):
    # The last block begins early, so that it is whole without a copy.
    start = jnp.minimum(block * size, rows - size)

    def of(values):
      return jax.lax.dynamic_slice_in_dim(values, start, size)

    again = start + jnp.arange(size) < block * size
    some = what._replace(
      cap=of(what.cap), weight=jnp.where(again, 0.0, of(what.weight))
    )
    low = of(cover)
    return gain + _covered(some, of(what.kernel), low, low + jnp.inf)

  none = jnp.zeros_like(what.modular)
  found = jax.lax.fori_loop(0, -(-rows // size), more, none)
  return what.modular + _total(found, axis)


def _raised(
  what: Problem, cover: Float[Array, " i"], candidate: Int[Array, ""]
) -> Float[Array, " i"]:
  """The covers with one more candidate."""
  return jnp.maximum(cover, jnp.minimum(what.kernel[:, candidate], what.cap))


def _added(
  what: Problem, state: State, candidate: Int[Array, ""], axis: str | None
) -> Float[Array, ""]:
  """A candidate's gain, counted on its own: exactly 0 where it adds nothing."""
  raised = _raised(what, state.cover, candidate) - state.cover
  return _total((what.weight * raised).sum(), axis) + what.modular[candidate]


def _total(
  values: Float[Array, "..."], axis: str | None
) -> Float[Array, "..."]:
  """The sum over the devices that have rows of their own."""
  return values if axis is None else jax.lax.psum(values, axis)


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
