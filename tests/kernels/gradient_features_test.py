# SPDX-License-Identifier: Apache-2.0
"""LESS's kernels beside Optax, a dense matrix, and a case worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from data_efficient.kernels import gradient_features
from data_efficient.kernels.gradient_features import AdamRates, Moments

RATES = AdamRates(b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0)


def _tree(seed, *rows):
  rng = np.random.default_rng(seed)
  shapes = {"b": {"a": (70, 6), "b": (6, 31)}, "c": {"a": (5,)}}
  return jax.tree.map(
    lambda shape: jnp.asarray(rng.normal(size=(*rows, *shape)), jnp.float32),
    shapes,
    is_leaf=lambda node: isinstance(node, tuple),
  )


def test_adam_s_direction_worked_by_hand():
  # t = 1, m = .2, v = .04; then a gradient of -1, with b1 = .5 and b2 = .75:
  # m' = .5 * .2 - .5 = -.4, over 1 - .5^2 = .75: -.5333...
  # v' = .75 * .04 + .25 = .28, over 1 - .75^2 = .4375: .64; its root is .8.
  # The direction is -.5333... / (.8 + .2) = -.5333...
  found = gradient_features.adam_directions(
    {"x": jnp.array([[-1.0]])},
    Moments(jnp.int32(1), {"x": jnp.array([0.2])}, {"x": jnp.array([0.04])}),
    rates=AdamRates(b1=0.5, b2=0.75, eps=0.2, eps_root=0.0),
  )
  np.testing.assert_allclose(found["x"], [[-0.4 / 0.75]], rtol=1e-6)


@pytest.mark.parametrize(("eps", "eps_root"), [(1e-8, 0.0), (0.0, 1e-4)])
def test_adam_s_direction_is_what_optax_would_step(eps, eps_root):
  rates = AdamRates(b1=0.9, b2=0.95, eps=eps, eps_root=eps_root)
  learning_rate = 0.25
  optimizer = optax.adam(learning_rate, **rates._asdict())
  parameters = _tree(0)
  with jax.numpy_dtype_promotion("standard"):  # Optax is not strict
    state = optimizer.init(parameters)
    for seed in range(3):
      _, state = optimizer.update(_tree(seed + 1), state, parameters)
  moments = Moments(state[0].count, state[0].mu, state[0].nu)
  gradients = _tree(9, 2)
  found = gradient_features.adam_directions(gradients, moments, rates=rates)
  for row in range(2):
    own = jax.tree.map(lambda leaf, row=row: leaf[row], gradients)
    with jax.numpy_dtype_promotion("standard"):
      updates, _ = optimizer.update(own, state, parameters)
    jax.tree.map(
      lambda update, direction, row=row: np.testing.assert_allclose(
        update, -learning_rate * direction[row], rtol=1e-5, atol=1e-7
      ),
      updates,
      found,
    )


def test_an_adam_step_lowers_a_loss_by_the_inner_product():
  # First order: l(w - h G) - l(w) = -h <dl/dw, G>.
  target = _tree(3)
  moments = Moments(jnp.int32(4), _tree(5), jax.tree.map(jnp.square, _tree(6)))
  gradients = _tree(7, 1)
  (direction,) = (
    jax.tree.map(lambda leaf: leaf[0], found)
    for found in [
      gradient_features.adam_directions(gradients, moments, rates=RATES)
    ]
  )

  def loss(w):
    return sum(
      jnp.sum(jnp.sin(leaf) * t)
      for leaf, t in zip(
        jax.tree.leaves(w), jax.tree.leaves(target), strict=True
      )
    )

  at, step = _tree(8), 1e-3
  moved = jax.tree.map(lambda w, d: w - step * d, at, direction)
  slope = optax.tree.vdot(jax.grad(loss)(at), direction)
  assert float(loss(moved) - loss(at)) == pytest.approx(
    float(-step * slope), rel=0.05
  )


def _dense(key, numbers, dimensions):
  """R whole, from the same counters: words of bits, lowest bit first."""
  rows = []
  for block in range(-(-numbers // gradient_features.BLOCK)):
    words = np.asarray(
      jax.random.bits(
        jax.random.fold_in(key, block),
        (gradient_features.BLOCK, -(-dimensions // 32)),
        "uint32",
      )
    )
    for own in words:
      bits = [(int(word) >> place) & 1 for word in own for place in range(32)]
      rows.append([1.0 if bit else -1.0 for bit in bits[:dimensions]])
  return np.array(rows[:numbers]).T


@pytest.mark.parametrize("dimensions", [40, 64])
def test_the_projection_is_by_a_matrix_of_signs(dimensions, monkeypatch):
  key = jax.random.key(3)
  gradients = _tree(0, 3)
  vectors = np.concatenate(
    [
      np.asarray(gradients["b"]["a"]).reshape(3, -1),
      np.asarray(gradients["b"]["b"]).reshape(3, -1),
      np.asarray(gradients["c"]["a"]).reshape(3, -1),
    ],
    axis=1,
  ).astype(np.float64)
  # Several blocks, the last one not full.
  monkeypatch.setattr(gradient_features, "BLOCK", 256)
  jax.clear_caches()
  found = gradient_features.project(gradients, key, dimensions=dimensions)
  matrix = _dense(key, vectors.shape[1], dimensions)
  assert vectors.shape[1] == 611
  np.testing.assert_allclose(
    found, vectors @ matrix.T / dimensions**0.5, rtol=1e-4, atol=1e-4
  )
  jax.clear_caches()


def test_projections_keep_inner_products():
  # Johnson and Lindenstrauss: unbiased, with a deviation of sqrt(2 / d) at
  # most. 40 keys, of d = 256: a mean of 40 errors lies within 5 deviations.
  gradients, d = _tree(1, 2), 256
  whole = gradient_features.project(
    gradients, jax.random.key(0), dimensions=d
  ).shape
  assert whole == (2, d)
  first, second = (
    np.concatenate(
      [np.asarray(leaf)[n].ravel() for leaf in jax.tree.leaves(gradients)]
    )
    for n in range(2)
  )
  norm = np.linalg.norm(first) * np.linalg.norm(second)
  errors = []
  for seed in range(40):
    found = np.asarray(
      gradient_features.project(gradients, jax.random.key(seed), dimensions=d)
    )
    errors.append((found[0] @ found[1] - first @ second) / norm)
  deviation = (2 / d) ** 0.5
  assert np.std(errors) < 1.3 * deviation
  assert abs(np.mean(errors)) < 5 * deviation / 40**0.5
  assert np.std(errors) > 0.3 * deviation  # not one and the same matrix


def test_signs_are_balanced_and_independent_of_one_another():
  found = np.asarray(
    gradient_features.signs(jax.random.key(1), 5, dimensions=96)
  )
  assert set(np.unique(found)) == {-1.0, 1.0}
  assert abs(found.mean()) < 5 / found.size**0.5
  off = found.T @ found / len(found)
  np.fill_diagonal(off, 0)
  assert np.abs(off).max() < 6 / len(found) ** 0.5
  other = np.asarray(
    gradient_features.signs(jax.random.key(1), 6, dimensions=96)
  )
  assert 0.45 < (found == other).mean() < 0.55


def test_cosines_of_rows_and_none_of_a_zero_row():
  features = jnp.array([[3.0, 4.0], [0.0, 0.0]])
  found = gradient_features.cosines(features, jnp.array([[1.0, 0.0]]))
  assert found[0, 0] == pytest.approx(0.6) and np.isnan(found[1, 0])
