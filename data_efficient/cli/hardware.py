# SPDX-License-Identifier: Apache-2.0
"""On what a score set is computed, as far as its bits depend on it."""

from typing import Any

import jax

from data_efficient.data import artifacts, score_sets


def numerics() -> dict[str, str]:
  """The backend and kind of device of this process, JSON-able."""
  return {
    "backend": jax.default_backend(),
    "device": jax.local_devices()[0].device_kind,
    "precision": "float32",
  }


def as_begun(
  identity: dict[str, Any], directory: artifacts.PathLike
) -> dict[str, Any]:
  """An identity with the hardware of the score set that lies there, if any.

  Everything else in it stays, and is compared as always.
  """
  begun = artifacts.identity_of(directory, kind=score_sets.KIND)
  if begun is None:
    return identity
  scorer = dict(identity["scorer"])
  if "devices" in scorer and "devices" in begun["scorer"]:
    scorer["devices"] = begun["scorer"]["devices"]
  return {**identity, "scorer": scorer, "numerics": begun["numerics"]}
