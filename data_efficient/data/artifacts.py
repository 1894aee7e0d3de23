# SPDX-License-Identifier: Apache-2.0
"""The one atomic writer, and the readers, of everything kept on disk.

An artifact is a directory: immutable parts beside a `manifest.json` that says
what they are. A part is written to a temporary name, fsynced, renamed and only
then entered in a journal, from which the manifest is made. So a process may be
killed at any moment; the next one resumes at the first missing part.
"""

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import xxhash

from data_efficient.data import (
  atomic_files,
  journals,
  locks,
  manifests,
  parquet_parts,
)
from data_efficient.data.atomic_files import atomic_write
from data_efficient.data.manifests import (
  ArtifactError,
  Manifest,
  PathLike,
  check_identity,
  read_manifest,
)

__all__ = (
  "ArtifactError",
  "Manifest",
  "PathLike",
  "Writer",
  "atomic_write",
  "check_identity",
  "is_complete",
  "read_bytes",
  "read_manifest",
  "read_table",
)


class Writer:
  """Opens or creates an artifact, as its only writer or one of a group.

    with artifacts.Writer(path, kind="corpus_index", identity=…) as writer:
      if not writer.complete:
        for name in names:
          if not writer.has(name):
            writer.write_table(name, make(name))
        writer.finish(records=10)

  Parts that the manifest lists but the disk lacks are forgotten, so that
  they are made again. Temporary files of a killed writer are removed.

  Args:
    directory: created with its parents if need be.
    kind: kind of artifact.
    identity: JSON-able; a directory with another identity is refused.
    member: which of several processes that write the artifact together. 0
      opens it before, and finishes it after the others; they write parts.

  Raises:
    ArtifactError: another process writes there, the manifest is damaged, or
      kind or identity differ (each differing field is named).
  """

  def __init__(
    self,
    directory: PathLike,
    *,
    kind: str,
    identity: dict[str, Any],
    member: int = 0,
  ):
    self.directory = pathlib.Path(directory)
    self._lock: int | None = None
    self._journal = journals.Journal(self.directory, member)
    self._open = False
    identity = manifests.plain(identity, "identity")
    try:
      self.directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
      raise ArtifactError(
        f"{self.directory}: is a file; a directory is needed there"
      ) from error
    found = self._found(kind, identity)
    if found is not None and found.complete:
      # Nothing to write, so no lock: many processes may open it at once.
      self._manifest = found
      journals.remove(self.directory)
      return
    if member:
      self._join(found)
    else:
      self._take(kind, identity)
    self._open = True

  def _join(self, found: Manifest | None) -> None:
    if found is None:
      raise ArtifactError(
        f"{self.directory}: the first process has not opened it yet"
      )
    self._manifest = found

  def _take(self, kind: str, identity: dict[str, Any]) -> None:
    self._lock = locks.acquire(self.directory)
    try:
      for leftover in self.directory.glob("*" + atomic_files.TEMPORARY):
        leftover.unlink()
      # Read again: before we had the lock, another writer may have finished.
      self._manifest = self._found(kind, identity) or Manifest(
        self.directory, kind, identity, {}, False, {}
      )
      self._write_manifest()
    except BaseException:
      self.close()
      raise

  def _found(self, kind: str, identity: dict[str, Any]) -> Manifest | None:
    """What is there, less the parts that are not."""
    if not (self.directory / manifests.MANIFEST).exists():
      return None
    found = read_manifest(self.directory, kind=kind, complete=False)
    check_identity(self.directory, found.identity, identity)
    parts = self._there(found.parts)
    complete = found.complete and len(parts) == len(found.parts)
    return found._replace(
      parts=parts,
      complete=complete,
      summary=found.summary if complete else {},
    )

  def _there(self, parts: journals.Parts) -> journals.Parts:
    """Those whose files are as long as they should be."""
    sizes = atomic_files.sizes(self.directory)
    return {
      name: facts
      for name, facts in parts.items()
      if sizes.get(name) == facts["bytes"]
    }

  @property
  def complete(self) -> bool:
    """Whether the artifact is finished, so that nothing is left to do."""
    return self._manifest.complete

  @property
  def manifest(self) -> Manifest:
    """What has been written so far."""
    return self._manifest

  def has(self, part: str) -> bool:
    """Returns whether a part has been written."""
    return part in self._manifest.parts

  def write_table(self, part: str, table: pa.Table, **facts: Any) -> None:
    """Writes a table as a Parquet part; see `parquet_parts`.

    Args:
      part: file name, such as "00000.parquet".
      table: the rows; their number is entered as `records` unless given.
      **facts: JSON-able facts for the manifest.
    """
    data, checksums = parquet_parts.serialise(table)
    facts.setdefault("records", table.num_rows)
    self.write_bytes(part, data, **facts, **checksums)

  def write_bytes(self, part: str, data: bytes, **facts: Any) -> None:
    """Writes a part of any content, then enters it in the journal.

    Args:
      part: file name.
      data: the bytes.
      **facts: JSON-able facts for the manifest.

    Raises:
      ArtifactError: a bad name, a part that is there already, or a writer
        that is closed or finished.
    """
    self._check_writable(part)
    facts = manifests.plain(facts, f"facts of {part}")
    atomic_write(self.directory / part, data)
    entry = {
      **facts,
      "bytes": len(data),
      "xxh3_128": xxhash.xxh3_128_hexdigest(data),
    }
    self._journal.enter(part, entry)
    self._manifest.parts[part] = entry

  def merge(self, part: str, parts: Sequence[str], **facts: Any) -> None:
    """Writes one Parquet part in the place of several, then removes these.

    A writer that is killed in between leaves some of them beside it; see
    `remove`.

    Args:
      part: file name of the new one.
      parts: those whose rows it has, in this order.
      **facts: as of `write_table`.

    Raises:
      ArtifactError: one of them is damaged.
    """
    tables = [self._manifest.read_table(name) for name in parts]
    # Permissive, since a part of records without scores may have other types.
    table = pa.concat_tables(tables, promote_options="permissive")
    self.write_table(part, table, **facts)
    self.remove(parts)

  def remove(self, parts: Iterable[str]) -> None:
    """Removes parts whose rows another part has."""
    self._check_open()
    for name in parts:
      (self.directory / name).unlink()
      del self._manifest.parts[name]

  def gather(self) -> None:
    """Takes note of what the other members of the group have done."""
    known = self._manifest.parts | journals.read(self.directory)
    self._manifest = self._manifest._replace(parts=self._there(known))

  def finish(self, **summary: Any) -> None:
    """Marks the artifact as complete.

    Args:
      **summary: JSON-able figures to keep in the manifest.

    Raises:
      ArtifactError: this writer is closed, or not the first of its group.
    """
    self._check_open()
    if self._lock is None:
      raise ArtifactError(f"{self.directory}: the first process finishes it")
    self._manifest = self._manifest._replace(
      complete=True, summary=manifests.plain(summary, "summary")
    )
    self._write_manifest()

  def close(self) -> None:
    """Gives the directory free for another writer. May be called twice."""
    self._open = False
    self._journal.close()
    if self._lock is not None:
      os.close(self._lock)  # which also releases the lock
      self._lock = None

  def __enter__(self) -> "Writer":
    return self

  def __exit__(self, *unused: object) -> None:
    self.close()

  def _check_open(self) -> None:
    if not self._open:
      raise ArtifactError(f"{self.directory}: this writer is closed")

  def _check_writable(self, part: str) -> None:
    self._check_open()
    reserved = (
      part.startswith(".")
      or part.endswith(atomic_files.TEMPORARY)
      or journals.is_one(part)
    )
    if (
      reserved
      or part in ("", manifests.MANIFEST)
      or os.path.basename(part) != part
    ):
      raise ArtifactError(f"{self.directory}: {part!r} cannot name a part")
    if self.complete or self.has(part):
      raise ArtifactError(
        f"{self.directory}: {part!r} cannot be written: the "
        f"{'artifact is complete' if self.complete else 'part is there'}"
      )

  def _write_manifest(self) -> None:
    """Replaces the manifest, and with it all journals."""
    text = manifests.manifest_text(self._manifest)
    atomic_write(self.directory / manifests.MANIFEST, text.encode("utf-8"))
    journals.remove(self.directory)


def is_complete(directory: PathLike, *, kind: str) -> bool:
  """Returns whether a finished artifact of this kind lies there."""
  if not (pathlib.Path(directory) / manifests.MANIFEST).exists():
    return False
  return read_manifest(directory, kind=kind, complete=False).complete


def identity_of(directory: PathLike, *, kind: str) -> dict[str, Any] | None:
  """Returns what lies there is made from, finished or not; None: nothing."""
  if not (pathlib.Path(directory) / manifests.MANIFEST).exists():
    return None
  return read_manifest(directory, kind=kind, complete=False).identity


def read_table(
  directory: PathLike,
  part: str,
  *,
  columns: list[str] | None = None,
) -> pa.Table:
  """Reads one Parquet part of a finished artifact; see `Manifest`."""
  manifest = read_manifest(directory, kind=None)
  return manifest.read_table(part, columns=columns)


def read_bytes(directory: PathLike, part: str, *, verify: bool = True) -> bytes:
  """Reads one part of a finished artifact; see `Manifest`."""
  return read_manifest(directory, kind=None).read_bytes(part, verify=verify)
