# SPDX-License-Identifier: Apache-2.0
"""The records behind the examples of a kernel: their corpus, labels, tokens."""

from typing import Any

import numpy as np
import xxhash
from jaxtyping import Bool, Int64

from data_efficient.data import constraints, prepared, score_sets
from data_efficient.data.artifacts import ArtifactError
from data_efficient.data.pair_sources import Examples
from data_efficient.data.utility_kernels import Axis
from data_efficient.selection import budget, interface


def described(axis: Axis) -> dict[str, Any]:
  """As `CorpusIndex.describe`, of the records of an axis."""
  digest, shards = xxhash.xxh3_64(), {}
  files = np.array(axis.files, object)
  for name in dict.fromkeys(axis.files):
    rows = files == name
    shards[name] = int(axis.positions[rows].max()) + 1
    coded = name.encode("utf-8")
    digest.update(b"%d:%s:%d:" % (len(coded), coded, shards[name]))
    digest.update(axis.fingerprints[rows].astype("<u8").tobytes())
  return {
    "name": "examples",
    "fingerprint": digest.hexdigest(),
    "records": len(axis.files),
    "shards": shards,
  }


def allowed(
  axis: Axis, corpus: prepared.Prepared | None
) -> Bool[np.ndarray, " j"]:
  """Which records of an axis are in the pool of a corpus; without one all.

  Raises:
    ArtifactError: a record that the corpus does not have.
  """
  if not corpus:
    return np.ones(len(axis.files), bool)
  _check_files(axis, corpus)
  masks = {name: corpus.pool_mask(name) for name in set(axis.files)}
  places = zip(axis.files, axis.positions.tolist(), strict=True)
  return np.array([masks[name][position] for name, position in places], bool)


def tokens(
  examples: Examples,
  corpus: prepared.Prepared | None,
  counted: score_sets.ScoreSet | None,
) -> tuple[Int64[np.ndarray, " j"], int]:
  """Tokens of each example, and of the whole pool.

  Raises:
    SelectionError: no corpus, no counts, or a count that is none.
  """
  if not corpus or not counted:
    raise interface.SelectionError(
      "a budget of tokens needs CORPUS and TOKEN_COUNTS; score the corpus with "
      "TokenCounts, or use a budget of examples"
    )
  counts, total = {}, 0
  for shard, records in corpus.index.shards.items():
    found = np.nan_to_num(counted.shard_column(shard, "score"))
    of = interface.Shard(shard, records)
    counts[shard] = budget.token_counts(found, of)
    total += int(counts[shard][corpus.pool_mask(shard)].sum())
  places = zip(examples.shard, examples.position.tolist(), strict=True)
  each = [counts[shard][position] for shard, position in places]
  return np.array(each, np.int64), total


def labels(
  examples: Examples, corpus: prepared.Prepared | None, label: str
) -> list[str]:
  """The source, group or shard of each example.

  Raises:
    SelectionError: a source or group without a corpus.
  """
  if label == "shard":
    return examples.shard
  if not corpus:
    raise interface.SelectionError(
      f"quotas of a {label} need CORPUS, whose records have one; without it a "
      "record has a file alone: QUOTA_LABEL = 'shard'"
    )
  known = constraints.Labels(corpus, label)
  codes = {
    shard: known.codes(number)
    for number, shard in enumerate(corpus.index.shards)
  }
  places = zip(examples.shard, examples.position.tolist(), strict=True)
  return [known.names[codes[shard][position]] for shard, position in places]


def _check_files(axis: Axis, corpus: prepared.Prepared) -> None:
  """Raises ArtifactError unless each record of an axis is in the corpus."""
  there = corpus.index.shards
  hashes = corpus.corpus.identity().get("files", {})
  contents = dict(zip(axis.files, axis.contents.tolist(), strict=True))
  for name, content in contents.items():
    if name not in there:
      raise ArtifactError(
        f"the kernel's examples are in the file {name!r}, which is no shard of "
        f"the corpus; it has {', '.join(list(there)[:5])}: name the files that "
        "the kernel was made from"
      )
    known = hashes.get(name, {}).get("xxh3_64")
    if known is not None and int(known, 16) != content:
      raise ArtifactError(
        f"the file {name!r} has changed since the kernel was made: make the "
        "kernel again"
      )
  for name, position in zip(axis.files, axis.positions.tolist(), strict=True):
    if position >= there[name]:
      raise ArtifactError(
        f"the kernel's examples have a row {position} of {name!r}, the corpus "
        f"{there[name]} records"
      )
