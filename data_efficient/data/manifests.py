# SPDX-License-Identifier: Apache-2.0
"""What an artifact says of itself: `manifest.json`, read and compared.

`artifacts` writes it. See there for what an artifact is.
"""

import json
import os
import pathlib
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet
import xxhash

from data_efficient.data import journals, parquet_parts

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
_KEYS = frozenset(
  ("format_version", "kind", "identity", "parts", "complete", "summary")
)
_ABSENT = "<absent>"

PathLike = str | os.PathLike[str]


class ArtifactError(ValueError):
  """An artifact is damaged, unfinished, in use or not the one expected."""


class Manifest(NamedTuple):
  """What an artifact says of itself.

  Attributes:
    directory: where it lies.
    kind: "corpus_index", "score_set", "selection", …
    identity: what it was made from; any change of it is another artifact.
    parts: for each part's file name its bytes, xxh3_128 and other facts.
    complete: whether every part is there.
    summary: figures that the maker left at the end.
  """

  directory: pathlib.Path
  kind: str
  identity: dict[str, Any]
  parts: dict[str, dict[str, Any]]
  complete: bool
  summary: dict[str, Any]

  def read_bytes(self, part: str, *, verify: bool = True) -> bytes:
    """Returns a part's bytes.

    Args:
      part: its file name.
      verify: whether to compare the checksum, besides the length.

    Raises:
      ArtifactError: the part is unknown, missing, cut short or changed.
    """
    path, facts = self._part(part)
    data = path.read_bytes()
    _check_length(path, len(data), facts)
    if verify and xxhash.xxh3_128_hexdigest(data) != facts["xxh3_128"]:
      raise _damaged(path, "the checksum differs from the manifest's")
    return data

  def read_table(
    self, part: str, *, columns: list[str] | None = None
  ) -> pa.Table:
    """Returns a Parquet part, or some of its columns. What is read is verified.

    Args:
      part: its file name.
      columns: names of columns; all by default.

    Raises:
      ArtifactError: as `read_bytes`, or a column that is not there.
    """
    if columns is None:
      data = pa.BufferReader(self.read_bytes(part))
      # Not read_table, which takes longer to open a part than to read it.
      return pyarrow.parquet.ParquetFile(data).read(use_threads=False)
    path, facts = self._part(part)
    try:
      _check_length(path, path.stat().st_size, facts)
      return parquet_parts.read(path, columns, facts)
    except parquet_parts.PartError as error:
      raise _damaged(path, str(error)) from error

  def _part(self, part: str) -> tuple[pathlib.Path, dict[str, Any]]:
    if part not in self.parts:
      raise ArtifactError(
        f"{self.directory}: no part {part!r} in {MANIFEST}; it lists "
        f"{len(self.parts)} parts: {', '.join(list(self.parts)[:5])} …"
      )
    path = self.directory / part
    if not path.is_file():
      raise ArtifactError(
        f"{path}: listed in {MANIFEST} but not there; run the verb that made "
        f"{self.directory} again: it makes only what is missing"
      )
    return path, self.parts[part]

  def check_corpus(self, description: dict[str, Any]) -> None:
    """Compares the corpus that this was made from with the one at hand.

    Args:
      description: `CorpusIndex.describe()` of the corpus at hand.

    Raises:
      ArtifactError: they differ; names fingerprint, shards and counts.
    """
    check_identity(
      f"{self.directory}: a {self.kind} of another corpus",
      {"corpus": self.identity["corpus"]},
      {"corpus": description},
    )


def read_manifest(
  directory: PathLike, *, kind: str | None, complete: bool = True
) -> Manifest:
  """Reads an artifact's manifest.

  Args:
    directory: the artifact.
    kind: the kind that is expected; None for any.
    complete: whether an unfinished artifact is an error.

  Raises:
    ArtifactError: no manifest, a damaged one, another format or kind, or an
      unfinished artifact.
  """
  path = pathlib.Path(directory) / MANIFEST
  fields = _load(path, kind or "artifact")
  if fields["format_version"] != FORMAT_VERSION:
    raise ArtifactError(
      f"{path}: format version {fields['format_version']}; this program reads "
      f"version {FORMAT_VERSION}: make the artifact again"
    )
  if kind not in (None, fields["kind"]):
    raise ArtifactError(
      f"{path}: this is a {fields['kind']}, where a {kind} was expected: "
      "name another directory"
    )
  if not fields["complete"]:
    fields["parts"].update(journals.read(path.parent))
  if complete and not fields["complete"]:
    raise ArtifactError(
      f"{path}: the {fields['kind']} is unfinished ({len(fields['parts'])} "
      "parts are there): run the verb that makes it again, it resumes"
    )
  del fields["format_version"]
  return Manifest(pathlib.Path(directory), **fields)


def manifest_text(manifest: Manifest) -> str:
  """What is written of a manifest; a line a part, as there may be many."""
  fields = {"format_version": FORMAT_VERSION, **manifest._asdict()}
  del fields["directory"]
  lines = [
    f"    {json.dumps(part)}: {json.dumps(facts, sort_keys=True)}"
    for part, facts in sorted(fields.pop("parts").items())
  ]
  parts = "{\n" + ",\n".join(lines) + "\n  }" if lines else "{}"
  return json_text(fields)[:-3] + f',\n  "parts": {parts}\n}}\n'


def json_text(value: Any) -> str:
  """Returns JSON with sorted keys, so that equal values give equal bytes."""
  return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def check_identity(
  where: PathLike, found: dict[str, Any], expected: dict[str, Any]
) -> None:
  """Compares two identities.

  Args:
    where: the artifact, for the message.
    found: its identity.
    expected: the identity that is asked for.

  Raises:
    ArtifactError: they differ; names each field by its dotted path.
  """
  lines = differences(plain(found, "identity"), plain(expected, "identity"))
  if lines:
    raise ArtifactError(
      f"{where}: made from something else:\n  "
      + "\n  ".join(lines[:20])
      + (f"\n  … and {len(lines) - 20} more" if len(lines) > 20 else "")
      + "\nName another directory, or delete this one to make it anew."
    )


def differences(found: Any, expected: Any, path: str = "") -> list[str]:
  """Returns a line "path: found X, expected Y" for each field that differs."""
  if isinstance(found, dict) and isinstance(expected, dict):
    return [
      line
      for key in sorted({*found, *expected})
      for line in differences(
        found.get(key, _ABSENT),
        expected.get(key, _ABSENT),
        f"{path}.{key}" if path else key,
      )
    ]
  if found == expected and isinstance(found, bool) == isinstance(
    expected, bool
  ):
    return []
  return [f"{path}: found {_short(found)}, expected {_short(expected)}"]


def _short(value: Any) -> str:
  text = value if value is _ABSENT else json.dumps(value, sort_keys=True)
  return text if len(text) <= 120 else text[:117] + "…"


def plain(value: Any, what: str) -> Any:
  """Returns what JSON gives back: tuples become lists, NumPy numbers plain.

  Args:
    value: the value.
    what: its name, for the message.

  Raises:
    ArtifactError: JSON cannot hold it (NaN, arrays, objects).
  """
  try:
    return json.loads(json.dumps(value, allow_nan=False, default=_number))
  except (TypeError, ValueError) as error:
    raise ArtifactError(f"{what} cannot be written as JSON: {error}") from error


def _number(value: Any) -> Any:
  if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
    return value.item()
  if isinstance(value, os.PathLike):
    return os.fspath(value)
  raise TypeError(f"{type(value).__name__} {value!r}")


def _load(path: pathlib.Path, kind: str) -> dict[str, Any]:
  try:
    fields = json.loads(path.read_bytes())
  except FileNotFoundError as error:
    raise ArtifactError(
      f"{path.parent}: no {kind} there (no {MANIFEST}): run the verb that "
      "makes it first, or name its directory"
    ) from error
  except ValueError as error:
    raise ArtifactError(
      f"{path}: damaged ({error}): delete {path.parent} and make it again"
    ) from error
  if not isinstance(fields, dict) or set(fields) != _KEYS:
    raise ArtifactError(
      f"{path}: not a manifest of this program; expected the fields "
      f"{', '.join(sorted(_KEYS))}"
    )
  return fields


def _check_length(
  path: pathlib.Path, length: int, facts: dict[str, Any]
) -> None:
  if length != facts["bytes"]:
    raise _damaged(path, f"{length} bytes, expected {facts['bytes']}")


def _damaged(path: pathlib.Path, found: str) -> ArtifactError:
  return ArtifactError(
    f"{path}: damaged ({found}): delete this file and run the verb that made "
    f"{path.parent} again"
  )
