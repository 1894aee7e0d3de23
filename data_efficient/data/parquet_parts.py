# SPDX-License-Identifier: Apache-2.0
"""Parquet files of which a column can be read, and verified, by itself.

A checksum of the footer and one of each column's bytes, page headers and all,
lie outside the file, in the artifact's manifest. So a reader of one column
proves that it is whole without reading the others.
"""

import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

_TAIL = 8  # the footer's length in 4 bytes, then PAR1


class PartError(ValueError):
  """A file that is not the one that was written; says what differs."""


def serialise(table: pa.Table) -> tuple[bytes, dict[str, Any]]:
  """Returns a Parquet file (zstd, page checksums) and its checksums.

  The checksums are {"footer": hex, "columns": {name: hex}}, JSON-able.
  """
  sink = pa.BufferOutputStream()
  names = [
    field.name for field in table.schema if pa.types.is_string(field.type)
  ]
  positions = {"position"} & set(table.schema.names)
  pq.write_table(
    table,
    sink,
    compression="zstd",
    write_page_checksum=True,
    # Numbers that hardly repeat gain nothing from a dictionary, and are read
    # in half the time without; positions are a count.
    use_dictionary=names,
    column_encoding=dict.fromkeys(positions, "DELTA_BINARY_PACKED") or None,
  )
  data = sink.getvalue()
  metadata = pq.read_metadata(pa.BufferReader(data))
  view = memoryview(data)
  columns = {
    name: _digest(view, _ranges(metadata, name)) for name in table.schema.names
  }
  footer = _digest(view, [_footer(view)])
  return data.to_pybytes(), {"footer": footer, "columns": columns}


def read(
  path: pathlib.Path, columns: Iterable[str], checksums: Mapping[str, Any]
) -> pa.Table:
  """Reads some columns; nothing else of the file is looked at.

  Args:
    path: the file.
    columns: their names.
    checksums: what `serialise` returned.

  Raises:
    PartError: footer or columns are not those that were written, or there is
      no such column.
    OSError: no such file.
  """
  with pa.memory_map(str(path)) as file:
    view = memoryview(file.read_buffer())
    if len(view) < _TAIL:
      raise PartError(f"{len(view)} bytes are no Parquet file")
    if _digest(view, [_footer(view)]) != checksums["footer"]:
      raise PartError("the footer's checksum differs from the manifest's")
    found = pq.ParquetFile(file)
    there = found.schema_arrow.names
    missing = sorted(set(columns) - set(there))
    if missing:
      raise PartError(
        f"no column {', '.join(missing)}; it has {', '.join(there)}"
      )
    for name in columns:
      if (
        _digest(view, _ranges(found.metadata, name))
        != (checksums["columns"][name])
      ):
        raise PartError(f"column {name}: the checksum differs")
    return found.read(columns=list(columns), use_threads=False)


def _footer(view: memoryview) -> tuple[int, int]:
  length = int.from_bytes(view[-_TAIL:-4], "little") + _TAIL
  return max(len(view) - length, 0), len(view)


def _ranges(metadata: pq.FileMetaData, name: str) -> Iterator[tuple[int, int]]:
  """Where the bytes of a column are."""
  for group in range(metadata.num_row_groups):
    row_group = metadata.row_group(group)
    for index in range(row_group.num_columns):
      chunk = row_group.column(index)
      if chunk.path_in_schema.split(".")[0] == name:
        start = chunk.data_page_offset
        if chunk.has_dictionary_page:
          start = min(start, chunk.dictionary_page_offset)
        yield start, start + chunk.total_compressed_size


def _digest(view: memoryview, ranges: Iterable[tuple[int, int]]) -> str:
  digest = xxhash.xxh3_64()
  for start, end in ranges:
    digest.update(view[start:end])
  return digest.hexdigest()
