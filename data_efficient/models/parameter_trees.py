# SPDX-License-Identifier: Apache-2.0
"""Whether the tensors of a file are those of a network."""

from collections.abc import Mapping
from typing import Any

import jax

# Path in the parameter tree, joined by "/".
Shapes = Mapping[str, tuple[int, ...]]

# The axis of these parameters that counts vocabulary entries.
_VOCABULARY_AXIS = {
  "token_embedder/embedding": 0,
  "decoder/logits_dense/kernel": 1,
}


class CheckpointError(ValueError):
  """A checkpoint that is missing, broken, or of another network."""


def flatten(tree: Any) -> dict[str, Any]:
  """The leaves of a nested dict by their path, joined by "/"."""
  return {
    jax.tree_util.keystr(path, simple=True, separator="/"): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
  """The nested dict whose leaves `flatten` gives."""
  tree: dict[str, Any] = {}
  for path, leaf in leaves.items():
    *parents, name = path.split("/")
    node = tree
    for parent in parents:
      node = node.setdefault(parent, {})
    node[name] = leaf
  return tree


def check(found: Shapes, expected: Shapes, *, where: str) -> None:
  """Refuses tensors that are not exactly the network's.

  Args:
    found: shapes in the checkpoint.
    expected: shapes of the network.
    where: what to call the checkpoint in the message.

  Raises:
    CheckpointError: names the missing and surplus tensors, or each tensor of
      a wrong shape, and says so when it is the vocabulary that differs.
  """
  _check_names(set(found), set(expected), where=where)
  wrong = {name for name in expected if found[name] != tuple(expected[name])}
  for name, axis in _VOCABULARY_AXIS.items():
    if name in wrong:
      raise CheckpointError(
        f"{where}: {name} holds {found[name][axis]} vocabulary entries, the"
        f" network expects {expected[name][axis]}: set the network's"
        " vocab_size to the checkpoint's, and use the tokenizer it was"
        " trained with"
      )
  if wrong:
    raise CheckpointError(
      f"{where}: {len(wrong)} tensors have another shape than the network's:"
      + _listing(
        f"{name} is {found[name]}, expected {tuple(expected[name])}"
        for name in sorted(wrong)
      )
      + "\nUse the sizes that the checkpoint was trained with."
    )


def _check_names(found: set[str], expected: set[str], *, where: str) -> None:
  missing, surplus = sorted(expected - found), sorted(found - expected)
  if not missing and not surplus:
    return
  message = f"{where}: not the tensors of this network"
  if missing:
    message += f"\n{len(missing)} missing:" + _listing(missing)
  if surplus:
    message += f"\n{len(surplus)} surplus:" + _listing(surplus)
  raise CheckpointError(
    message + "\nCheck the number of layers, and of a judge that it is a T5 1.1"
    " (gated feed-forward, untied head)."
  )


def _listing(lines: Any, most: int = 8) -> str:
  lines = list(lines)
  rest = [f"... and {len(lines) - most} more"] if len(lines) > most else []
  return "".join(f"\n  {line}" for line in lines[:most] + rest)
