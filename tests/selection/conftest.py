# SPDX-License-Identifier: Apache-2.0
"""JAX is strict where the code is ours: no silent broadcast or promotion."""

import jax
import pytest


@pytest.fixture(autouse=True)
def strict():
  with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
    yield
