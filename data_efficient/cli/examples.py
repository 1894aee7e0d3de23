# SPDX-License-Identifier: Apache-2.0
"""Records to look at: what each sampler kept and dropped, and how narrowly."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from data_efficient.data import prepared, records, score_sets, selections

_EACH = 2


class _Place(NamedTuple):
  shard: str
  position: int
  score: float | None
  where: str


def collect(
  corpus: prepared.Prepared,
  root: pathlib.Path,
  samplers: Sequence[str] | None,
  scores: Mapping[str, str],
) -> dict:
  """Sampler -> {"kept": [...], "dropped": [...]} for its first selection.

  `samplers` are those that are shown, or None; `scores` is sampler -> its score
  set, in `root`. With scores: the highest and those next to the threshold, or
  the lowest; without: evenly spread records. Each has id, source, score, text
  and where.
  """
  chosen: dict[str, dict[str, list[_Place]]] = {}
  for path in sorted(root.glob("selections/*/manifest.json")):
    selection = selections.Selection.open(path.parent)
    sampler = selection.identity["sampler"]
    shown = samplers is None or sampler in samplers
    if shown and sampler != "full" and sampler not in chosen:
      chosen[sampler] = _places(
        corpus, selection, root / scores[sampler] if sampler in scores else None
      )
  texts = _texts(corpus, chosen)
  return {
    sampler: {
      side: [_example(place, texts) for place in places]
      for side, places in sides.items()
    }
    for sampler, sides in chosen.items()
  }


def _places(corpus, selection, scores: pathlib.Path | None) -> dict:
  pool = corpus.mask(["pool"])
  shards, positions, kept, values = [], [], [], []
  column = None
  if scores:
    column = score_sets.ScoreSet.open(scores).read(["score"])["score"]
  for shard, mask in pool.items():
    rows = np.flatnonzero(mask)
    shards += [shard] * len(rows)
    positions += rows.tolist()
    kept.append(selection.mask(shard)[rows])
    if column:
      values.append(column[shard][rows])
  kept = np.concatenate(kept)
  score = np.concatenate(values) if column else None

  def places(rows, where: str) -> list[_Place]:
    return [
      _Place(
        shards[row],
        positions[row],
        None if score is None else float(score[row]),
        where,
      )
      for row in rows
    ]

  return {
    "kept": _side(np.flatnonzero(kept), score, places, top=True),
    "dropped": _side(np.flatnonzero(~kept), score, places, top=False),
  }


def _side(rows: np.ndarray, score, places, *, top: bool) -> list[_Place]:
  if score is None:
    spread = np.linspace(0, len(rows) - 1, 2 * _EACH).astype(int)
    return places(rows[spread], "")
  rows = rows[~np.isnan(score[rows])]
  order = rows[np.argsort(-score[rows], kind="stable")]
  middle = order[len(order) // 2 :][:_EACH]
  if top:
    return places(order[:_EACH], "highest") + places(
      order[-_EACH:], "lowest kept"
    )
  return places(middle, "middle of the dropped") + places(
    order[-_EACH:], "lowest"
  )


def _texts(corpus, chosen) -> dict[tuple[str, int], records.Record]:
  wanted: dict[str, set[int]] = {}
  for sides in chosen.values():
    for places in sides.values():
      for place in places:
        wanted.setdefault(place.shard, set()).add(place.position)
  return {
    (shard, record.position): record
    for shard, positions in wanted.items()
    for record in corpus.corpus.read(shard)
    if record.position in positions
  }


def _example(place: _Place, texts) -> dict:
  record = texts[place.shard, place.position]
  return {
    "id": record.id,
    "source": record.source,
    "score": place.score,
    "text": record.text,
    "where": place.where,
  }
