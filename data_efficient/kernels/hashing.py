# SPDX-License-Identifier: Apache-2.0
"""From the codes of a hash row to one of B buckets, for every hash family.

A family sends a vector x to W words a row, whole numbers below p = 2³¹ − 1.
Row r folds them into B buckets:

  hᵣ(x) = ((Σⱼ mᵣⱼ·wordᵣⱼ(x) + sᵣ) mod p) mod B

This is Carter and Wegman's universal family: two different codes share a
bucket with probability 1/B, whatever the codes are, so that the bias of
folding is known exactly and `sketch.query` can take it off again.

Families: `p_stable` (L2 distance) and `angular`. A draw of either is a
NamedTuple with the attributes of `Hashes`.
"""

import functools
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key, UInt32

from data_efficient.kernels import projections

MERSENNE_31 = 2**31 - 1

Vectors = Float[Array | np.ndarray, "n d"]
Carry = TypeVar("Carry")


@runtime_checkable
class Hashes(Protocol):
  """One draw of R rows.

  Attributes:
    projection: what the codes are made from.
    multipliers: mᵣⱼ in [1, p), uint32 [W, R].
    shifts: sᵣ in [0, p), uint32 [R].
  """

  projection: projections.Projection
  multipliers: UInt32[Array, "k r"]
  shifts: UInt32[Array, " r"]

  def words(
    self, vectors: Vectors, start: projections.Start, size: int
  ) -> list[UInt32[Array, "{size} n"]]:
    """The W words, below p, of rows start … start + size − 1."""


def over_rows(
  hashes: Hashes,
  step: Callable[[projections.Start, int, Carry], Carry],
  carry: Carry,
) -> Carry:
  """Returns what step(start, rows, carry) makes of all chunks of rows."""
  num_rows, chunk = hashes.shifts.shape[0], hashes.projection.chunk
  whole, rest = divmod(num_rows, chunk)
  if whole:
    carry = jax.lax.fori_loop(
      0, whole, lambda i, carry: step(i * chunk, chunk, carry), carry
    )
  return step(whole * chunk, rest, carry) if rest else carry


def rows_of_buckets(
  hashes: Hashes,
  vectors: Vectors,
  start: projections.Start,
  size: int,
  *,
  num_buckets: int,
) -> Int32[Array, "{size} n"]:
  """Returns hᵣ(x) in [0, B) of rows start … start + size − 1, for a chunk."""
  part = functools.partial(
    jax.lax.dynamic_slice_in_dim, start_index=start, slice_size=size
  )
  mixed = part(hashes.shifts)[:, None]
  for number, word in enumerate(hashes.words(vectors, start, size)):
    multiplier = part(hashes.multipliers[number])[:, None]
    mixed = _multiply_add_mod_mersenne(word, multiplier, mixed)
  return (mixed % jnp.uint32(num_buckets)).astype(jnp.int32)


@functools.partial(jax.jit, static_argnames=("num_buckets",))
def buckets(
  hashes: Hashes, vectors: Vectors, *, num_buckets: int
) -> Int32[Array, "r n"]:
  """Returns hᵣ(x) in [0, B) of each row and vector: R·n numbers.

  A sketch makes them chunk by chunk and keeps none. A vector with NaN gets
  some bucket in range; mask it where it is counted.

  Raises:
    ValueError: fewer than 1 or more than 2³¹ − 1 buckets.
  """
  if not 1 <= num_buckets <= MERSENNE_31:
    raise ValueError(
      f"num_buckets must be from 1 to {MERSENNE_31}, got {num_buckets}"
    )

  def step(start, size, found):
    chunk = rows_of_buckets(
      hashes, vectors, start, size, num_buckets=num_buckets
    )
    return jax.lax.dynamic_update_slice_in_dim(found, chunk, start, axis=0)

  shape = (hashes.shifts.shape[0], vectors.shape[0])
  return over_rows(hashes, step, jnp.zeros(shape, jnp.int32))


def draw_folding(
  key: Key[Array, ""], *, num_rows: int, num_words: int
) -> tuple[UInt32[Array, "k r"], UInt32[Array, " r"]]:
  """Returns multipliers and shifts; row r's depend on the key and r alone."""

  def row(number):
    _, _, m, s = jax.random.split(jax.random.fold_in(key, number), 4)
    return (
      jax.random.randint(m, (num_words,), 1, MERSENNE_31, jnp.int32),
      jax.random.randint(s, (), 0, MERSENNE_31, jnp.int32),
    )

  multipliers, shifts = jax.vmap(row)(jnp.arange(num_rows))
  return multipliers.T.astype(jnp.uint32), shifts.astype(jnp.uint32)


def check_sizes(*, dimensions: int, num_rows: int, hashes_per_row: int) -> None:
  """Refuses hashes of nothing.

  Raises:
    ValueError: a size below 1.
  """
  if min(dimensions, num_rows, hashes_per_row) < 1:
    raise ValueError(
      "a hash needs at least one dimension, one row and one hash a row, got "
      f"dimensions={dimensions}, num_rows={num_rows}, "
      f"hashes_per_row={hashes_per_row}"
    )


def _multiply_add_mod_mersenne(
  x: UInt32[Array, "r n"], m: UInt32[Array, "r 1"], s: UInt32[Array, "r #n"]
) -> UInt32[Array, "r n"]:
  """Returns (m·x + s) mod 2³¹ − 1 for m, x, s below it, in 32 bits.

  With x = 2¹⁶x₁ + x₀ and m alike, and 2³¹ ≡ 1, the four partial products are
  brought below 2³¹ before they are added.
  """
  x1, x0 = x >> 16, x & 0xFFFF
  m1, m0 = m >> 16, m & 0xFFFF
  middle = m1 * x0 + m0 * x1
  total = _fold(2 * (m1 * x1)) + _fold(m0 * x0)
  total = _fold(total) + (middle >> 15)
  total = _fold(total) + ((middle & 0x7FFF) << 16)
  total = _fold(_fold(total) + s)
  return jnp.where(total >= MERSENNE_31, total - MERSENNE_31, total)


def _fold(x: UInt32[Array, "r #n"]) -> UInt32[Array, "r #n"]:
  """Returns a number below 2³¹ + 1 that is congruent to x mod 2³¹ − 1."""
  return (x & MERSENNE_31) + (x >> 31)
