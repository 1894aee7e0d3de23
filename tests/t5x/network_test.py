# SPDX-License-Identifier: Apache-2.0
"""Our network against T5X's own, with the same weights; and T5X's decoder."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import freeze
from flax.linen import partitioning

from data_efficient.models import encoder_decoder

SIZES = {
  "vocab_size": 40,
  "emb_dim": 16,
  "num_heads": 2,
  "head_dim": 8,
  "mlp_dim": 24,
  "num_encoder_layers": 2,
  "num_decoder_layers": 2,
  "dropout_rate": 0.0,
}
CONFIG = encoder_decoder.T5Config(
  **SIZES, dtype="float32", embedding_init_stddev=1.0
)
OURS = encoder_decoder.Transformer(CONFIG)


@pytest.fixture(scope="module")
def theirs():
  from t5x.examples.t5 import network

  return network.Transformer(
    network.T5Config(**SIZES, mlp_activations=("gelu", "linear"))
  )


@pytest.fixture(scope="module")
def batch():
  random = np.random.default_rng(0)
  # Longer than the largest distance with a bucket of its own.
  source = random.integers(1, 40, (2, 150))
  targets = random.integers(1, 40, (2, 9))
  source[1, 90:] = 0
  targets[0, 6:] = 0
  inputs = np.pad(targets[:, :-1], [(0, 0), (1, 0)])
  return source, inputs, targets


@pytest.fixture(scope="module")
def variables(theirs, batch):
  init = functools.partial(theirs.init, enable_dropout=False)
  return jax.jit(init)(jax.random.key(0), *batch)


def test_parameters_and_axes_are_the_same(variables):
  shapes = encoder_decoder.parameter_shapes(CONFIG)
  found = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes)
  expected = jax.tree.map(
    lambda leaf: (leaf.shape, leaf.dtype), variables["params"]
  )
  assert found == expected
  axes = partitioning.get_axis_names(variables["params_axes"])
  assert freeze(encoder_decoder.parameter_axes(CONFIG)) == axes


def test_initial_parameters_are_the_same(variables, batch):
  ours = jax.jit(OURS.init)(jax.random.key(0), *batch)["params"]
  jax.tree.map(
    lambda left, right: np.testing.assert_allclose(left, right, rtol=1e-5),
    ours,
    variables["params"],
  )


def test_logits_are_the_same(theirs, variables, batch):
  call = functools.partial(theirs.apply, enable_dropout=False)
  parameters = {"params": variables["params"]}
  expected = jax.jit(call)(parameters, *batch)
  found = jax.jit(OURS.apply)(parameters, *batch)
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_decoding_and_scoring_run_through_t5x(theirs, variables, batch):
  import seqio
  from t5x import adafactor, models

  source, inputs, targets = batch
  features = {
    "encoder_input_tokens": jnp.asarray(source),
    "decoder_input_tokens": jnp.asarray(inputs),
    "decoder_target_tokens": jnp.asarray(targets),
    "decoder_loss_weights": jnp.asarray(targets > 0, jnp.int32),
  }
  results = []
  for module in (OURS, theirs):
    model = models.EncoderDecoderModel(
      module=module,
      input_vocabulary=seqio.ByteVocabulary(),
      output_vocabulary=seqio.ByteVocabulary(),
      optimizer_def=adafactor.Adafactor(),
    )
    decoded, auxiliary = jax.jit(
      functools.partial(
        model.predict_batch_with_aux, num_decodes=2, return_all_decodes=True
      )
    )(variables["params"], features)
    scored = jax.jit(model.score_batch)(variables["params"], features)
    results.append((decoded, auxiliary["scores"], scored))
  (ours, our_scores, our_sums), (them, their_scores, their_sums) = results
  assert np.array_equal(ours, them)
  np.testing.assert_allclose(our_scores, their_scores, atol=1e-4)
  np.testing.assert_allclose(our_sums, their_sums, atol=1e-4)
