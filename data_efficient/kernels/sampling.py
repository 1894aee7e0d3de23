# SPDX-License-Identifier: Apache-2.0
"""Random keys and sampling weights, in float64 on the host.

Everything here is NumPy: the fp32 logarithm of an accelerator differs in its
last bit from that of another, and a key that differs in its last bit is
another sample. Keys come from a counter, not from a stream: the key of a
record depends on (seed, stream, position) alone, whichever process asks for
it and in whatever order.
"""

import sys
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt64

WORDS_PER_COUNTER = 4  # Philox4x64 turns one counter into four numbers
LARGEST_WORD = 2**64 - 1
# Of a 64-bit word seen as two of 32 bits, the upper one.
_UPPER = 1 if sys.byteorder == "little" else 0
# More than the error of a weight in float32 and of all that follows.
_MARGIN = 1.001

Weights = Float[np.ndarray, " n"]


class WeightSummary(NamedTuple):
  """How uneven sampling weights are.

  Sums are relative to the largest weight, so that no weight overflows.

  Attributes:
    records: with a weight.
    largest: logarithm of the largest weight.
    smallest: logarithm of the smallest.
    total: Σw/max w.
    squares: Σ(w/max w)².
  """

  records: int = 0
  largest: float = -np.inf
  smallest: float = np.inf
  total: float = 0.0
  squares: float = 0.0

  @property
  def ratio(self) -> float:
    """Largest over smallest weight, from 1; ∞ beyond float64."""
    with np.errstate(over="ignore"):
      return float(np.exp(np.float64(self.largest) - self.smallest))

  @property
  def effective_sample_size(self) -> float:
    """(Σw)²/Σw², from 1 to `records`."""
    return self.total**2 / self.squares

  def joined(self, other: "WeightSummary") -> "WeightSummary":
    """The summary of both sets of weights."""
    if not other.records:
      return self
    largest = max(self.largest, other.largest)
    mine, theirs = np.exp([self.largest - largest, other.largest - largest])
    return WeightSummary(
      records=self.records + other.records,
      largest=largest,
      smallest=min(self.smallest, other.smallest),
      total=float(self.total * mine + other.total * theirs),
      squares=float(self.squares * mine**2 + other.squares * theirs**2),
    )


def uniforms(
  *, seed: int, stream: int, count: int, start: int = 0
) -> Float[np.ndarray, " n"]:
  """Returns uniforms in (0, 1) for positions start … start + count − 1.

  Philox4x64-10 (Salmon et al. 2011) with key (seed, stream) and the position
  as its counter; 52 bits, never 0 and never 1. `stream` is a hash of the
  shard's name.

  Raises:
    ValueError: a number that does not fit (seed and stream: 64 bits).
  """
  words = _words(seed=seed, stream=stream, count=count, start=start)
  return _uniforms(words)


def _words(
  *, seed: int, stream: int, count: int, start: int
) -> UInt64[np.ndarray, " n"]:
  for name, value in (("seed", seed), ("stream", stream)):
    if not 0 <= value <= LARGEST_WORD:
      raise ValueError(f"{name} must be from 0 to 2⁶⁴ − 1, got {value}")
  if start < 0 or count < 0:
    raise ValueError(f"no positions from {start} for {count}")
  generator = np.random.Philox(key=np.array([seed, stream], np.uint64))
  skipped = start % WORDS_PER_COUNTER
  generator.advance(start // WORDS_PER_COUNTER)
  return generator.random_raw(skipped + count)[skipped:]


def _uniforms(words: UInt64[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
  return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def gumbels(
  *, seed: int, stream: int, count: int, start: int = 0
) -> Float[np.ndarray, " n"]:
  """Returns standard Gumbel keys −log(−log u) of the same positions.

  The k largest of log wᵢ + gumbelᵢ are k draws without replacement with
  probability ∝ wᵢ among those left (Efraimidis and Spirakis 2006; Gumbel
  top-k). One draw serves every k, so that samples of rising size are nested.
  """
  draws = uniforms(seed=seed, stream=stream, count=count, start=start)
  return -np.log(-np.log(draws))


def reaching(
  weights: Float[np.ndarray, " n"],
  *,
  seed: int,
  stream: int,
  start: int = 0,
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"]]:
  """Returns which keys may be large enough, and these: `gumbels` of few.

  Args:
    weights: of positions from `start` on, in units of the least priority that
      counts: wᵢ exp(−low), to a relative 10⁻⁴; NaN for a record that has none.
    seed: as in `gumbels`.
    stream: as in `gumbels`.
    start: as in `gumbels`.

  Returns:
    Indices into `weights`, ascending, of all with log wᵢ + gumbelᵢ ≥ low and a
    few more; and their gumbelᵢ, the same bits as those of `gumbels`.

  The others are left out unseen: log wᵢ + gumbelᵢ ≥ low means −log u ≤ w′, the
  weight in those units, and −log u is at least 1 − u, which needs no
  logarithm.
  """
  words = _words(seed=seed, stream=stream, count=len(weights), start=start)
  # 2³²(1 − u) from below; conversion to float32 keeps 24 of the 32 bits.
  bound = words.view(np.uint32)[_UPPER::2].astype(np.float32)
  np.subtract(np.float32(2**32), bound, out=bound)
  with np.errstate(over="ignore"):
    room = weights.astype(np.float32, copy=False)
    room = room * np.float32(2**32 * _MARGIN) + np.float32(2**10)
  rows = np.flatnonzero(bound <= room)
  return rows, -np.log(-np.log(_uniforms(words[rows])))


def inverse_propensity_log_weights(
  densities: Shaped[np.ndarray, " n"],
) -> Weights:
  """Returns log wᵢ = −log Sᵢ; NaN where S is NaN.

  w ∝ 1/S makes the sample uniform over the support (arXiv 2402.09668, Sec. 3.3
  and Theorem A.2). Algorithm 2 of that paper prints p = S/ΣS, its misprint.
  Only ratios matter, so the weights are not normalised, and a record's weight
  does not depend on the other records.

  Raises:
    ValueError: a density that is zero, negative or infinite, with its index.
  """
  densities = np.asarray(densities, np.float64)
  wrong = np.flatnonzero((densities <= 0) | np.isinf(densities))
  if wrong.size:
    raise ValueError(
      f"density {densities[wrong[0]]} at index {wrong[0]}: inverse propensity "
      "needs positive, finite densities"
    )
  # Subtracted from zero so that a density of 1 gives 0.0, not −0.0.
  return 0.0 - np.log(densities)


def summarise_log_weights(log_weights: Weights) -> WeightSummary:
  """Returns the summary of weights given as logarithms; NaN is left out."""
  present = log_weights[~np.isnan(log_weights)]
  if not present.size:
    return WeightSummary()
  relative = np.exp(present - present.max())
  return WeightSummary(
    records=int(present.size),
    largest=float(present.max()),
    smallest=float(present.min()),
    total=float(relative.sum()),
    squares=float(np.square(relative).sum()),
  )


def summarise_inverses(
  densities: Float[np.ndarray, " n"],
) -> WeightSummary:
  """Returns the summary of weights 1/S, of positive finite S, float64."""
  if not densities.size:
    return WeightSummary()
  least, most = densities.min(), densities.max()
  relative = least / densities
  return WeightSummary(
    records=int(densities.size),
    largest=float(-np.log(least)),
    smallest=float(-np.log(most)),
    total=float(relative.sum()),
    squares=float(np.square(relative).sum()),
  )


def inclusion_probabilities(
  log_weights: Weights, thresholds: Weights
) -> Weights:
  """Returns pᵢ = P(log wᵢ + gumbelᵢ > τᵢ) = 1 − exp(−wᵢ exp(−τᵢ)).

  τᵢ must not depend on record i's own key. Then 1/pᵢ over the kept records
  estimates without bias a sum over all (Horvitz and Thompson 1952, given the
  other keys: rank conditioning, Cohen and Kaplan 2007). Where τᵢ is −∞ the
  record is always kept.
  """
  with np.errstate(over="ignore"):
    return -np.expm1(-np.exp(log_weights - thresholds))
