# SPDX-License-Identifier: Apache-2.0
"""Likelihoods against loops over tokens."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.kernels import likelihood


def _token(logits, target):
  top = max(logits)
  return logits[target] - top - math.log(sum(math.exp(x - top) for x in logits))


def _batch(seed, shape=(3, 5, 11), scale=4.0):
  random = np.random.default_rng(seed)
  logits = (random.normal(size=shape) * scale).astype(np.float32)
  targets = random.integers(0, shape[-1], shape[:2])
  mask = random.random(shape[:2]) < 0.6
  return logits, targets, mask


@pytest.mark.parametrize("shape", [(3, 5, 11), (1, 1, 2)])
def test_tokens_and_sequences_equal_the_loop(shape):
  logits, targets, mask = _batch(0, shape)
  tokens = np.array(
    [
      [_token(row.tolist(), y) for row, y in zip(rows, ys, strict=True)]
      for rows, ys in zip(logits, targets, strict=True)
    ]
  )
  found = likelihood.token_log_likelihoods(logits, targets)
  np.testing.assert_allclose(found, tokens, atol=1e-5)
  sums = [
    sum(value for value, kept in zip(row, keep, strict=True) if kept)
    for row, keep in zip(tokens, mask, strict=True)
  ]
  found = likelihood.sequence_log_likelihoods(logits, targets, mask)
  np.testing.assert_allclose(found, sums, atol=1e-5)


def test_bfloat16_logits_are_summed_in_float32():
  logits = jnp.zeros((1, 1, 5000), jnp.bfloat16)
  found = likelihood.token_log_likelihoods(logits, np.zeros((1, 1), int))
  assert found.dtype == jnp.float32
  assert float(found[0, 0]) == pytest.approx(-math.log(5000), abs=1e-5)


def test_large_logits_do_not_overflow():
  logits = np.array([[[1e4, -1e4]]], np.float32)
  found = likelihood.token_log_likelihoods(logits, np.array([[0]]))
  assert float(found[0, 0]) == 0.0


def test_a_target_outside_the_vocabulary_is_nan():
  logits, targets, _ = _batch(1)
  targets[0, 0], targets[1, 2] = 11, -1
  found = np.asarray(likelihood.token_log_likelihoods(logits, targets))
  assert np.isnan(found[0, 0]) and np.isnan(found[1, 2])
  assert np.isnan(found).sum() == 2


def test_sums_and_means_equal_the_loop():
  logits, targets, mask = _batch(2)
  weights = np.where(mask, np.random.default_rng(3).random(mask.shape), 0.0)
  weights = weights.astype(np.float32)
  loss = normalizer = correct = 0.0
  for i, j in zip(*np.nonzero(mask), strict=True):
    row = logits[i, j].astype(np.float64)
    loss -= weights[i, j] * _token(row.tolist(), targets[i, j])
    normalizer += weights[i, j] * math.log(np.exp(row).sum()) ** 2
    correct += weights[i, j] * float(row.argmax() == targets[i, j])
  total = weights.sum()
  means = likelihood.means(likelihood.loss_sums(logits, targets, weights))
  np.testing.assert_allclose(
    means, (loss / total, normalizer / total, correct / total), rtol=1e-5
  )


def test_merged_sums_are_the_sums_of_the_whole():
  logits, targets, mask = _batch(4)
  weights = mask.astype(np.float32)
  whole = likelihood.loss_sums(logits, targets, weights)
  parts = likelihood.empty()
  for row in range(3):
    rows = slice(row, row + 1)
    parts = likelihood.merge(
      parts, likelihood.loss_sums(logits[rows], targets[rows], weights[rows])
    )
  np.testing.assert_allclose(parts, whole, rtol=1e-6)


def test_nan_in_padding_reaches_neither_loss_nor_gradient():
  logits, targets, mask = _batch(5)
  broken = np.where(mask[..., None], logits, np.nan)
  targets = np.where(mask, targets, 99)
  weights = mask.astype(np.float32)

  def loss(values):
    return likelihood.means(likelihood.loss_sums(values, targets, weights)).loss

  clean, gradient = jax.value_and_grad(loss)(jnp.asarray(logits))
  found, masked = jax.value_and_grad(loss)(jnp.asarray(broken))
  assert float(found) == float(clean) and np.isfinite(found)
  assert np.array_equal(masked, gradient)
  sums = likelihood.sequence_log_likelihoods(broken, targets, mask)
  assert np.isfinite(sums).all()


def test_without_tokens_the_mean_is_nan_and_the_sum_zero():
  logits, targets, _ = _batch(6)
  nothing = np.zeros((3, 5), np.float32)
  sums = likelihood.loss_sums(logits, targets, nothing)
  assert [float(value) for value in sums] == [0, 0, 0, 0]
  assert np.isnan(likelihood.means(sums).loss)
  found = likelihood.sequence_log_likelihoods(logits, targets, nothing > 0)
  assert found.tolist() == [0, 0, 0]


def test_shapes_that_differ_are_refused():
  logits, targets, _ = _batch(7)
  with pytest.raises(TypeError):
    likelihood.token_log_likelihoods(logits, targets[:, :4])
