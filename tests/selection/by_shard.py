# SPDX-License-Identifier: Apache-2.0
"""Corpora as dictionaries: the name of a shard to a value a record."""

import numpy as np

from data_efficient.selection import budget, interface, ranking


def priorities(selector, scores, shards, seed=0):
  """Of each shard's records."""
  return {
    name: selector.priorities(_shard(name, count, scores), seed=seed)
    for name, count in shards.items()
  }


def log_weights(selector, scores, shards):
  """Of each shard's records."""
  return {
    name: selector.log_weights(_shard(name, count, scores))
    for name, count in shards.items()
  }


def _shard(name, count, scores):
  return interface.Shard(name, count, None if scores is None else scores[name])


def candidates(values, amount, tokens=None):
  """What `budget.cut` reads."""
  counted = amount.kind in budget.OF_TOKENS

  def amounts(name):
    if not counted:
      return None
    shard = interface.Shard(name, len(values[name]))
    return budget.token_counts(np.asarray(tokens[name]), shard)

  blocks = [
    ranking.Candidates(found, amounts(name), len(found))
    for name, found in values.items()
  ]
  return lambda: iter(blocks)


def cut(values, amount, tokens=None):
  """The kept positions of each shard, ascending."""
  found, _ = budget.cut(candidates(values, amount, tokens), amount)
  first, kept = 0, {}
  for name, block in values.items():
    kept[name] = np.flatnonzero(found.keeps(block, first=first))
    first += len(block)
  return kept
