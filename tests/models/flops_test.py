# SPDX-License-Identifier: Apache-2.0
"""FLOP formulas against every product of the traced programs, and XLA."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.models import (
  decoder_only,
  dot_product,
  encoder_decoder,
  flops,
  published,
)
from data_efficient.models import networks as models
from data_efficient.scorers import answers
from data_efficient.training import optimizers, step
from tests import networks

ROWS, SOURCE, TARGET = 2, 12, 5
NETWORK = networks.t5(vocab_size=64, emb_dim=16, mlp_dim=24, layers=2)
# Heads that do not make up the width, and stacks of different depth.
ODD = dataclasses.replace(
  NETWORK, num_heads=3, head_dim=10, num_encoder_layers=3
)
LANGUAGE_MODEL = decoder_only.DecoderOnlyConfig(
  vocab_size=64,
  emb_dim=16,
  num_heads=2,
  head_dim=8,
  mlp_dim=24,
  num_decoder_layers=2,
  dtype="float32",
  dropout_rate=0.0,
  embedding_init_stddev=1.0,
)


def _counted(jaxpr) -> float:
  """2·n·k·m of every product of a traced program, those inside it too."""
  total = 0.0
  for equation in jaxpr.eqns:
    if equation.primitive.name == "dot_general":
      (contracted, _), _ = equation.params["dimension_numbers"]
      left = equation.invars[0].aval.shape
      total += (
        2.0
        * math.prod(left[axis] for axis in contracted)
        * math.prod(equation.outvars[0].aval.shape)
      )
    if equation.primitive.name == "cond":
      # The platform's choice: of one product, in another order of work.
      total += _counted(equation.params["branches"][-1].jaxpr)
      continue
    for value in equation.params.values():
      for inner in value if isinstance(value, tuple | list) else [value]:
        inner = getattr(inner, "jaxpr", inner)
        if hasattr(inner, "eqns"):
          total += _counted(inner)
  return total


def _traced(function, *arguments) -> float:
  return _counted(jax.make_jaxpr(function)(*arguments).jaxpr) / ROWS


def _ints(*shape):
  return jax.ShapeDtypeStruct(shape, jnp.int32)


def _batch(network):
  lengths = {"encoder": SOURCE, "decoder": TARGET}
  if isinstance(network, decoder_only.DecoderOnlyConfig):
    lengths["decoder"] = SOURCE + TARGET
  return {
    name: _ints(ROWS, lengths[name[:7]])
    for name in (*network.required, "decoder_loss_weights")
  }


@pytest.mark.parametrize("network", [NETWORK, ODD])
def test_scoring_has_the_products_of_the_formula(network):
  asked = ((60,), (61, 62), (61, 59), (58,))
  found = _traced(
    functools.partial(
      answers.log_probabilities, network=network, answers=asked
    ),
    models.parameter_shapes(network),
    _ints(ROWS, SOURCE),
  )
  positions = len(answers.row(asked).inputs)
  step_ = flops.answer_step(network, source=SOURCE, target=positions)
  assert found == flops.encoder(network, source=SOURCE).total + step_.total


def test_scoring_by_a_language_model_has_them_too():
  asked = ((60,), (61, 62))
  found = _traced(
    functools.partial(
      answers.log_probabilities, network=LANGUAGE_MODEL, answers=asked
    ),
    models.parameter_shapes(LANGUAGE_MODEL),
    _ints(ROWS, SOURCE),
  )
  one, two = (
    flops.language_model(LANGUAGE_MODEL, length=SOURCE + n, last=n)
    for n in (1, 2)
  )
  assert found == one.total + two.total


@pytest.mark.parametrize("remat", ["none", "minimal", "full"])
@pytest.mark.parametrize("network", [ODD, LANGUAGE_MODEL])
def test_training_has_the_products_of_the_formula(network, remat):
  network = dataclasses.replace(network, remat=remat)
  optimizer = optimizers.adafactor(optimizers.rsqrt(base=1.0, warmup_steps=10))
  state = jax.eval_shape(
    functools.partial(step.initial_state, network, optimizer),
    jax.random.key(0),
  )
  found = _traced(
    functools.partial(
      step.train_step,
      network=network,
      optimizer=optimizer,
      z_loss=1e-4,
      seed=0,
    ),
    state,
    _batch(network),
  )
  formula = flops.training(network, source=SOURCE, target=TARGET)
  assert found == formula.executed
  assert formula.executed / formula.model < 4.0 / 3.0
  assert (formula.executed > formula.model) == (remat != "none")


def test_xla_counts_little_more_than_the_products(monkeypatch):
  # It counts the body of a loop once.
  monkeypatch.setattr(dot_product, "_by_example", dot_product._at_once)
  network = networks.t5(vocab_size=512, emb_dim=128, mlp_dim=512, layers=2)
  asked = ((60,),)
  lowered = answers.log_probabilities.lower(
    models.parameter_shapes(network),
    _ints(ROWS, 64),
    network=network,
    answers=asked,
  )
  formula = flops.encoder(network, source=64).total
  formula += flops.answer_step(network, source=64, target=1).total
  found = lowered.compile().cost_analysis()["flops"] / ROWS
  # Norms, gates and softmax are counted there and not here.
  assert formula < found < 1.08 * formula


def test_a_token_costs_two_a_parameter_and_training_six():
  network = published.t5_1_1(size="base", dtype="bfloat16")
  embedding = network.vocab_size * network.emb_dim
  layers = (_parameters(network) - 2 * embedding) / 2
  source = flops.encoder(network, source=512).projections / 512
  # Half of the layers' parameters are the encoder's, less cross-attention.
  cross = 4 * 12 * 768 * 768
  assert source == pytest.approx(2 * (layers - cross / 2), rel=1e-3)
  forward = flops.encoder(network, source=512).total
  forward += flops.decoder(network, source=512, target=114).total
  assert flops.training(network, source=512, target=114).model == 3 * forward


def _parameters(network) -> int:
  shapes = models.parameter_shapes(network)
  return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))


def test_a_layer_by_hand():
  # One layer of width 2, one head of 3, a feed-forward of 5; 7 tokens.
  network = encoder_decoder.T5Config(
    vocab_size=11,
    emb_dim=2,
    num_heads=1,
    head_dim=3,
    mlp_dim=5,
    num_encoder_layers=1,
    num_decoder_layers=1,
    dtype="float32",
    dropout_rate=0.0,
    embedding_init_stddev=1.0,
  )
  found = flops.encoder(network, source=7)
  assert found.projections == 7 * (4 * 2 * (2 * 3) + 3 * 2 * (2 * 5))
  assert found.attention == 2 * (2 * 7 * 7 * 3)
  assert found.last_projections == 7 * 2 * (2 * 5)
  # One query of 7 states: each product runs over the width, once a head.
  folded = flops.answer_step(network, source=7, target=1)
  assert folded.attention == 2 * (2 * 3) + 2 * (2 * 7 * 2)
  assert folded.head == 2 * 2 * 11
