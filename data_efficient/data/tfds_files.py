# SPDX-License-Identifier: Apache-2.0
"""Serialized examples of TFDS's files: TFRecord and ArrayRecord.

TFRecord frames a payload by 12 bytes before (its length, little-endian uint64,
and a checksum of that) and 4 after, so that the byte where a record begins is
known from the lengths before it. ArrayRecord has an index of its own.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from data_efficient.data.corpora import CorpusError

_HEADER, _FOOTER = 12, 4


class Shard(NamedTuple):
  """One file of a split.

  Attributes:
    path: the file.
    records: its records, by the dataset's description.
    first: records of the split before it.
  """

  path: str
  records: int
  first: int


class Payload(NamedTuple):
  """A serialized `tf.train.Example`; `offset` is -1 in ArrayRecord."""

  offset: int
  data: bytes

  def text(self, feature: str, where: str) -> str:
    """Returns a feature that holds one string.

    Raises:
      CorpusError: it holds something else, or invalid UTF-8.
    """
    import tensorflow as tf
    from google.protobuf import message

    try:
      example = tf.train.Example.FromString(self.data)
      (value,) = example.features.feature[feature].bytes_list.value
      return value.decode("utf-8")
    except UnicodeDecodeError as error:
      raise CorpusError(
        f"{where}, byte {error.start} of the text: invalid UTF-8: prepare the "
        "dataset again from UTF-8 text"
      ) from error
    except (ValueError, message.DecodeError) as error:
      raise CorpusError(
        f"{where}: no text in the feature {feature!r} ({first_line(error)}): "
        "prepare the dataset again"
      ) from error


class TfRecord:
  """Reads TFRecord files."""

  def read(self, shard: Shard, start: int) -> Iterator[Payload]:
    """Yields a file's payloads from row `start` on.

    Raises:
      CorpusError: a damaged or truncated file; names file and row.
    """
    import tensorflow as tf

    row = offset = 0
    dataset = tf.data.TFRecordDataset(shard.path).prefetch(64)
    try:
      for data in dataset.as_numpy_iterator():
        if row >= start:
          yield Payload(offset, data)
        offset += _HEADER + len(data) + _FOOTER
        row += 1
    except tf.errors.OpError as error:
      raise _damaged(shard, row, error) from error

  def fetch(
    self, shard: Shard, positions: Sequence[int], offsets: Sequence[int]
  ) -> list[Payload]:
    """Returns the payloads at some offsets.

    Raises:
      CorpusError: no record begins there; names file and row.
    """
    import tensorflow as tf

    found = []
    try:
      with tf.io.gfile.GFile(shard.path, "rb") as file:
        for position, offset in zip(positions, offsets, strict=True):
          data = _payload(file, offset)
          if data is None:
            raise CorpusError(
              f"{shard.path}, row {position}: no record begins at byte "
              f"{offset}: the file has changed since it was indexed; bring it "
              "back, or score the new one"
            )
          found.append(Payload(offset, data))
    except tf.errors.OpError as error:
      raise CorpusError(
        f"{shard.path}: cannot be read ({first_line(error)})"
      ) from error
    return found


class ArrayRecord:
  """Reads ArrayRecord files through `tfds.data_source`.

  Args:
    builder: of the dataset.
    split: name of the split.
  """

  def __init__(self, builder: Any, split: str):
    import tensorflow_datasets as tfds

    self._source = builder.as_data_source(
      split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
    )

  def read(self, shard: Shard, start: int) -> Iterator[Payload]:
    """Yields a file's payloads from row `start` on; see `TfRecord.read`."""
    for first in range(start, shard.records, 256):
      rows = range(first, min(first + 256, shard.records))
      yield from self.fetch(shard, rows, ())

  def fetch(
    self, shard: Shard, positions: Sequence[int], offsets: Sequence[int]
  ) -> list[Payload]:
    """Returns the payloads of some rows.

    Raises:
      CorpusError: damaged; names the file and the first row asked for.
    """
    del offsets
    try:
      found = self._source.__getitems__(
        [shard.first + int(position) for position in positions]
      )
    # The library tells damage by many kinds of error.
    except (RuntimeError, ValueError, IndexError, OSError) as error:
      raise _damaged(shard, positions[0], error) from error
    return [Payload(-1, data) for data in found]


def first_line(error: Exception) -> str:
  """The first line of an error's message."""
  return str(error).strip().split("\n")[0]


def _payload(file: Any, offset: int) -> bytes | None:
  file.seek(int(offset))
  header = file.read(_HEADER)
  if len(header) < _HEADER:
    return None
  (length,) = struct.unpack("<Q", header[:8])
  if length > file.size():
    return None
  data = file.read(length)
  return data if len(data) == length else None


def _damaged(shard: Shard, row: int, error: Exception) -> CorpusError:
  return CorpusError(
    f"{shard.path}, row {row}: damaged or truncated ({first_line(error)}): "
    "prepare the dataset again"
  )
