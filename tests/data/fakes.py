# SPDX-License-Identifier: Apache-2.0
"""A corpus in memory."""

from data_efficient.data import records
from data_efficient.data.records import Record


class Memory:
  """Shards are lists of texts, or of (text, source, group)."""

  def __init__(self, shards, name="memory"):
    self.name = name
    self._shards = shards

  def shards(self):
    return list(self._shards)

  def read(self, shard, start=0):
    rows = self._shards[shard]
    for position in range(start, len(rows)):
      row = rows[position]
      text, source, group = (row, "", "") if isinstance(row, str) else row
      identifier = records.record_id(shard, position)
      yield Record(position, text, source, group, identifier)

  def identity(self):
    return {
      "shards": {
        name: [records.fingerprint(str(row)) for row in rows]
        for name, rows in self._shards.items()
      }
    }
