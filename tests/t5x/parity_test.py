# SPDX-License-Identifier: Apache-2.0
"""Both engines from the same parameters: the same 20 steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.core import freeze

from data_efficient.models import checkpoints
from data_efficient.training import optimizers, t5x_model
from tests.t5x.tiny import losses


def _differences(ours, theirs):
  assert list(ours) == list(theirs)
  found = np.array(list(ours.values())), np.array(list(theirs.values()))
  return np.abs(found[0] - found[1]) / found[1]


def test_losses_of_20_steps_and_last_parameters_are_the_same(by_t5x, by_local):
  trained = _differences(losses(by_local), losses(by_t5x))
  evaluated = _differences(losses(by_local, "hq"), losses(by_t5x, "hq"))
  assert len(trained) == 20 and len(evaluated) == 2
  assert losses(by_t5x)[20] < 0.6 * losses(by_t5x)[1]
  load = functools.partial(checkpoints.load_parameters, config=by_local.network)
  before = load(by_local.initial_checkpoint)
  after = load(by_local.directory), load(by_t5x.directory)

  def difference(ours, theirs, before):
    return np.abs(ours - theirs).max() / np.abs(theirs - before).max()

  tensors = jax.tree.leaves(jax.tree.map(difference, *after, before))
  print(
    f"\nlargest relative difference of the losses {trained.max():.1e}, of the"
    f" evaluations {evaluated.max():.1e}; of a tensor's parameters, to its"
    f" largest change {max(tensors):.1e}"
  )
  assert trained.max() < 1e-5
  assert evaluated.max() < 1e-5
  assert max(tensors) < 1e-3


def test_the_two_adafactors_agree_on_the_same_gradients():
  random = np.random.default_rng(0)
  shapes = {
    # Factored, square, not factored, and a vector.
    **{"wide": (130, 200), "square": (128, 128), "small": (127, 300)},
    **{"scale": (130,), "zero": (130, 140), "tiny": (140, 130)},
  }
  parameters = {k: random.normal(size=s) for k, s in shapes.items()}
  # Below the floor of the parameter's scale, 1e-3.
  parameters["zero"] *= 0.0
  parameters["tiny"] *= 1e-6
  parameters = jax.tree.map(jnp.float32, parameters)
  schedule = optimizers.rsqrt(base=1.0, warmup_steps=3)
  ours = optimizers.adafactor(schedule)
  theirs = t5x_model.adafactor().create(freeze(parameters))
  state = ours.init(parameters)
  for step in range(4):
    gradients = {
      # Large ones are clipped, and some rows have none.
      k: jnp.float32(random.normal(size=s) * 10.0**step).at[:3].set(0.0)
      for k, s in shapes.items()
    }
    updates, state = ours.update(gradients, state, parameters)
    parameters = optax.apply_updates(parameters, updates)
    theirs = theirs.apply_gradient(
      freeze(gradients), learning_rate=schedule(step)
    )
    for name, array in theirs.target.items():
      largest = np.abs(array).max()
      np.testing.assert_allclose(
        parameters[name] / largest, array / largest, atol=2e-6
      )
