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


class HardwareError(ValueError):
  """A machine whose bits would not be those of the others."""


def check(expected: dict[str, str]) -> None:
  """Compares this process's hardware with that of the one that sent work.

  Raises:
    HardwareError: they differ; says how.
  """
  found = numerics()
  if found != expected:
    raise HardwareError(
      f"this worker computes on {found}, the process that started the pipeline "
      f"on {expected}: their scores would differ in their bits; start it where "
      "the workers' kind of device is (JAX_PLATFORMS=cpu)"
    )


def as_begun(
  identity: dict[str, Any],
  directory: artifacts.PathLike,
  *,
  kind: str = score_sets.KIND,
) -> dict[str, Any]:
  """An identity with the hardware of the artifact that lies there, if any.

  Everything else in it stays, and is compared as always.
  """
  begun = artifacts.identity_of(directory, kind=kind)
  if begun is None:
    return identity
  scorer = dict(identity["scorer"])
  if "devices" in scorer and "devices" in begun["scorer"]:
    scorer["devices"] = begun["scorer"]["devices"]
  return {**identity, "scorer": scorer, "numerics": begun["numerics"]}
