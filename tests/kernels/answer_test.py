# SPDX-License-Identifier: Apache-2.0
"""An answer's probability against the product of its pieces."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.kernels import answer


def _logits(steps, seed=0):
  random = np.random.default_rng(seed)
  return (random.normal(size=(4, steps, 9)) * 3).astype(np.float32)


@pytest.mark.parametrize("pieces", [[4], [7, 2], [1, 1, 8]])
def test_equals_the_product_over_pieces(pieces):
  logits = _logits(len(pieces))
  found = answer.log_probability(logits, np.array(pieces))
  for row, value in zip(logits.astype(np.float64), found, strict=True):
    product = math.prod(
      math.exp(step[piece]) / np.exp(step).sum()
      for step, piece in zip(row, pieces, strict=True)
    )
    assert float(value) == pytest.approx(math.log(product), abs=1e-5)


def test_answers_that_begin_alike_differ():
  logits = _logits(2)
  first = answer.log_probability(logits, np.array([7]))
  both = answer.log_probability(logits, np.array([7, 2]))
  assert np.all(np.asarray(both) < np.asarray(first))


def test_probabilities_of_all_answers_sum_to_one():
  logits = _logits(1)
  total = sum(
    np.exp(answer.log_probability(logits, np.array([piece])))
    for piece in range(9)
  )
  np.testing.assert_allclose(total, 1.0, rtol=1e-5)


def test_steps_after_the_answer_are_ignored():
  logits = _logits(3)
  short = answer.log_probability(logits[:, :2], np.array([3, 5]))
  logits[:, 2] = np.nan
  padded = answer.log_probability(logits, np.array([3, 5]))
  assert np.array_equal(short, padded)


def test_bfloat16_logits_give_float32():
  found = answer.log_probability(
    jnp.asarray(_logits(1), jnp.bfloat16), np.array([3])
  )
  assert found.dtype == jnp.float32


def test_a_piece_outside_the_vocabulary_is_nan():
  found = answer.log_probability(_logits(2), np.array([3, 9]))
  assert np.isnan(found).all()


@pytest.mark.parametrize("pieces", [[], [1, 2, 3]])
def test_refuses_an_answer_without_steps(pieces):
  with pytest.raises(ValueError, match=f"{len(pieces)} pieces .* 2 decoder"):
    answer.log_probability(_logits(2), np.array(pieces, int))
