# SPDX-License-Identifier: Apache-2.0
"""Corpora as dictionaries: the name of a shard to a value a record."""

import numpy as np

from data_efficient.selection import budget, candidates, interface, ranking


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


def ranked(values, amount, tokens=None):
  """What `budget.cut` reads."""
  counted = amount.kind in budget.OF_TOKENS

  def amounts(name):
    if not counted:
      return None
    shard = interface.Shard(name, len(values[name]))
    return budget.token_counts(np.asarray(tokens[name]), shard)

  return ranking_of(
    [
      candidates.Candidates(found, amounts(name), len(found))
      for name, found in values.items()
    ]
  )


def ranking_of(blocks, **options):
  """The ranking of some `Candidates`."""
  sizes = [len(block.priorities) for block in blocks]
  return ranking.Ranking(sizes, blocks.__getitem__, **options)


def cut(values, amount, tokens=None):
  """The kept positions of each shard, ascending."""
  found = ranked(values, amount, tokens)
  kept = found.kept(budget.cut(found, amount))
  return {name: block.rows for name, block in zip(values, kept, strict=True)}
