# SPDX-License-Identifier: Apache-2.0
"""Fingerprints of parameters: what changes them, and what does not."""

import jax.numpy as jnp
import numpy as np
import pytest
import xxhash

from data_efficient.models import fingerprints

_RNG = np.random.default_rng(0)
TREE = {
  "a": {"kernel": _RNG.normal(size=(6, 4)).astype(np.float32)},
  "b": {"scale": _RNG.normal(size=4).astype(np.float32)},
}


def _print(kernel=None, scale=None, names=("a", "b")):
  kernel = TREE["a"]["kernel"] if kernel is None else kernel
  scale = TREE["b"]["scale"] if scale is None else scale
  first, second = names
  return fingerprints.fingerprint(
    {first: {"kernel": jnp.asarray(kernel)}, second: {"scale": scale}}
  )


def test_a_network_that_is_kept_rounded_is_still_itself():
  kernel = jnp.asarray(TREE["a"]["kernel"]).astype(jnp.bfloat16)
  assert _print(kernel=kernel) == _print()
  assert len(_print()) == 16


KERNEL, SCALE = TREE["a"]["kernel"], TREE["b"]["scale"]


@pytest.mark.parametrize(
  "change",
  [
    {"kernel": KERNEL * np.float32(1.01)},
    {"kernel": KERNEL[::-1].copy()},
    {"kernel": KERNEL[:, ::-1].copy()},
    {"kernel": KERNEL.reshape(4, 6)},
    {"kernel": KERNEL.T.copy()},
    {"kernel": np.where(np.arange(24).reshape(6, 4) == 9, 0.0, KERNEL)},
    {"scale": SCALE[::-1].copy()},
    {"names": ("a", "c")},
  ],
)
def test_another_network_has_another(change):
  assert _print(**change) != _print()


def test_it_is_what_it_says():
  """Value by value, in Python's integers; records on disk hold it."""

  def mixed(position, value, first, second):
    # Of a whole number, bfloat16 is the upper half of float32.
    bits = int(np.float32(value).view(np.uint32)) >> 16
    both = (position * first) % 2**32 ^ (bits * second) % 2**32
    both = ((both ^ both >> 15) * 0x165667B1) % 2**32
    return both ^ both >> 13

  tree = {"a": np.float32([[1, 2, 3], [4, 5, -6]]), "b": np.float32([7, 0.5])}
  lanes = ((0x9E3779B1, 0x85EBCA77), (0xC2B2AE3D, 0x27D4EB2F))
  digest = xxhash.xxh3_64()
  for name, values in tree.items():
    sums = [
      sum(mixed(i, value, *lane) for i, value in enumerate(values.flat)) % 2**32
      for lane in lanes
    ]
    digest.update(f"{name} {values.shape} {sums}\n".encode())
  found = fingerprints.fingerprint({k: jnp.asarray(v) for k, v in tree.items()})
  assert found == digest.hexdigest()
