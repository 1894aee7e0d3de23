# SPDX-License-Identifier: Apache-2.0
"""Judges: a network, its parameters, and a name for both in every table."""

import jax
import numpy as np
import xxhash

from data_efficient.models import checkpoints, encoder_decoder
from data_efficient.scorers import ask_llm

STAND_IN = "stand_in"


def load(
  *, network: encoder_decoder.T5Config, checkpoint: str, kind: str
) -> ask_llm.Judge:
  """A judge from a checkpoint of this project, T5X or Hugging Face.

  Args:
    network: its size; must match the checkpoint.
    checkpoint: directory.
    kind: what tables call it: "stand_in" for one that was taught here, else
      the published name ("flan_t5_xl").

  Raises:
    CheckpointError: a missing or damaged checkpoint, or another size.
  """
  parameters = checkpoints.load_parameters(checkpoint, config=network)
  identity = {"kind": kind, "parameters": fingerprint(parameters)}
  return ask_llm.Judge(network, parameters, identity)


def fingerprint(parameters: dict) -> str:
  """xxh3_128, in hex, of all arrays in the order of their names."""
  digest = xxhash.xxh3_128()
  for path, leaf in jax.tree_util.tree_leaves_with_path(parameters):
    digest.update(jax.tree_util.keystr(path).encode())
    digest.update(np.ascontiguousarray(leaf).tobytes())
  return digest.hexdigest()
