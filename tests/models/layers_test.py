# SPDX-License-Identifier: Apache-2.0
"""Products in bfloat16."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.models import layers


@pytest.mark.parametrize(
  "subscripts, left, right",
  [
    ("bti,io->bto", (2, 3, 4), (4, 5)),
    ("bthd,bshd->bhts", (2, 3, 2, 4), (2, 5, 2, 4)),
    ("bhts,bshd->bthd", (2, 2, 3, 5), (2, 5, 2, 4)),
  ],
)
def test_bfloat16_products_are_bfloat16_backward_too(subscripts, left, right):
  random = np.random.default_rng(0)
  # Small integers: exact in bfloat16, so that both types agree to the bit.
  operands = [
    jnp.asarray(random.integers(-4, 5, shape), jnp.float32)
    for shape in (left, right)
  ]

  def gradients(dtype):
    def value(*operands):
      return layers.einsum(subscripts, *operands, dtype=dtype).sum()

    return jax.grad(value, argnums=(0, 1))

  traced = jax.jit(gradients("bfloat16")).trace(*operands)
  text = traced.lower(lowering_platforms=("tpu",)).as_text()
  products = [line for line in text.splitlines() if "dot_general" in line]
  assert len(products) >= 2
  for line in products:
    types = re.findall(r"x(bf16|f32)>", line.split(" : ")[-1])
    assert types == ["bf16", "bf16", "f32"]
  for ours, theirs in zip(
    gradients("bfloat16")(*operands),
    gradients("float32")(*operands),
    strict=True,
  ):
    assert ours.dtype == jnp.float32
    np.testing.assert_array_equal(ours, theirs)
