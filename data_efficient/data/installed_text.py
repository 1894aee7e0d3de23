# SPDX-License-Identifier: Apache-2.0
"""The embedded default corpus: what our pins and Python put on the disk.

Real text with real noise: docstrings, and for the greater part sources,
generated stubs, metadata, licences and data tables. It is sampled once into a
snapshot of JSON lines; afterwards only the snapshot is read, so that an
upgraded package does not change a corpus that has been scored.
"""

import dataclasses
import functools
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from data_efficient.data import (
  artifacts,
  file_access,
  installed_files,
  installed_sample,
  records,
)
from data_efficient.data.corpora import CorpusError
from data_efficient.data.records import Record

KIND = "installed_text"
TOPICS = "pydoc_topics"

# All belong to the core pins, so that they are there wherever we are.
PACKAGES = (
  "python",  # the standard library: edited prose beside plain code
  "numpy",  # edited documentation, and stubs that repeat themselves
  "scipy",  # edited documentation, tables of constants and distributions
  "scikit-learn",  # edited documentation with much repeated boilerplate
  "matplotlib",  # documentation of mixed care, font metrics
  "jax",  # careful documentation; many tests and lowering rules
  "jaxlib",  # generated dialect bindings, third-party licences
  "flax",
  "optax",
  "orbax-checkpoint",
  "seqio",
  "clu",
  "absl-py",
  "gin-config",
  "tensorflow",  # C++ headers, generated operators and vendored copies
  "tensorflow-datasets",  # label lists, download checksums, templates
  "keras",  # each layer documented by the same template
  "tensorboard",  # minified scripts, generated protocol buffers
  "protobuf",  # generated code
  "grpcio",
  "sentencepiece",
  "pyarrow",  # C++ headers, Cython
  "rich",
)
# Their docstrings are all there, not a sample: reference and evaluation text.
DOCUMENTED = ("python", "numpy", "scipy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstalledText:
  """Text of installed packages; one shard a package, then `pydoc_topics`.

  A record's source is "package/kind" with the kinds docstring, source, stub,
  metadata, licence, table and topic; its group is the dotted module or file.

  A package's share grows with the square root of its bytes, and within it
  that of a kind with the square root of the kind's: by bytes alone
  TensorFlow's headers would be nine tenths. Files are drawn by a hash of
  (seed, file name, bytes) and passages by a hash of (seed, text), so that
  copies are drawn together and the share of exact duplicates stays natural.
  In addition all docstrings of `DOCUMENTED` and the language reference are
  taken, for the splits to dilute.

  Attributes:
    directory: the snapshot; made on first use (about half a minute).
    passages: size of the sample, before those additions.
    packages: distributions; "python" is the standard library. Those that are
      not installed are left out and named in the snapshot's summary.
    docstring_share: share of docstrings in the sample of each package.
    seed: of the hashes.
    name: name of the corpus.
  """

  directory: str
  passages: int = 12_000
  packages: Sequence[str] = PACKAGES
  docstring_share: float = 0.35
  seed: int = 0
  name: str = "installed_text"

  def shards(self) -> list[str]:
    """Returns the packages in their fixed order.

    Raises:
      CorpusError: none of the packages is installed.
      ArtifactError: another snapshot lies in the directory.
    """
    return list(self._parts)

  def read(self, shard: str, start: int = 0) -> Iterator[Record]:
    """Yields a package's records from position `start` on.

    Raises:
      CorpusError: no such package.
      ArtifactError: the snapshot is damaged.
    """
    if shard not in self._parts:
      raise CorpusError(f"no shard {shard!r}; there are {self.shards()}")
    lines = self._manifest.read_bytes(self._parts[shard]).splitlines(True)
    offsets = list(itertools.accumulate(map(len, lines), initial=0))
    for position in range(start, len(lines)):
      row = json.loads(lines[position])
      yield Record(
        position=position,
        text=row["text"],
        source=f"{row['source']}/{row['kind']}",
        group=row["group"],
        id=records.record_id(shard, position),
        offset=offsets[position],
      )

  def check_random_access(self) -> None:
    """A snapshot is plain JSON lines: nothing to complain of."""

  def fetch(
    self, shard: str, positions: Sequence[int], offsets: Sequence[int]
  ) -> list[str]:
    """Returns the texts of some records; see `corpora.RandomAccess`."""
    path = self._manifest.directory / self._parts[shard]
    rows = file_access.fetch(path, "text", positions, offsets)
    return [row.fields["text"] for row in rows]

  def identity(self) -> dict[str, Any]:
    """Returns the settings, and the checksum of each part of the snapshot."""
    parts = self._manifest.parts
    return {
      **self._settings(),
      "parts": {name: parts[name]["xxh3_128"] for name in parts},
    }

  def build(
    self, progress: Callable[[int, int], None] | None = None
  ) -> artifacts.Manifest:
    """Makes the snapshot, or only what is missing of it.

    Args:
      progress: called with (shards done, all shards) after each shard.

    Returns:
      The snapshot's manifest; `summary` has the counts by kind and the
      packages that are missing.

    Raises:
      CorpusError: none of the packages is installed.
      ArtifactError: another snapshot lies in the directory.
    """
    settings = self._settings()
    with artifacts.Writer(
      self.directory, kind=KIND, identity=settings
    ) as writer:
      if not writer.complete:
        self._fill(writer, progress or (lambda done, total: None))
    return artifacts.read_manifest(self.directory, kind=KIND)

  @functools.cached_property
  def _manifest(self) -> artifacts.Manifest:
    if artifacts.is_complete(self.directory, kind=KIND):
      manifest = artifacts.read_manifest(self.directory, kind=KIND)
      artifacts.check_identity(
        self.directory, manifest.identity, self._settings()
      )
      return manifest
    return self.build()

  @functools.cached_property
  def _parts(self) -> dict[str, str]:
    parts = self._manifest.parts
    ordered = sorted(parts, key=lambda part: parts[part]["number"])
    return {parts[part]["shard"]: part for part in ordered}

  def _settings(self) -> dict[str, Any]:
    fields = dataclasses.asdict(self)
    del fields["directory"], fields["name"]
    return {**fields, "packages": list(self.packages)}

  def _fill(
    self, writer: artifacts.Writer, progress: Callable[[int, int], None]
  ) -> None:
    found = {name: installed_files.find(name) for name in self.packages}
    installed = [package for package in found.values() if package]
    missing = [name for name, package in found.items() if not package]
    if not installed:
      raise CorpusError(
        f"none of the packages {', '.join(missing)} is installed in this "
        "environment: name others in InstalledText.packages"
      )
    sampler = installed_sample.Sampler(self.docstring_share, self.seed)
    quotas = installed_sample.quotas(installed, self.passages)
    number = len(self.packages)
    for index, package in enumerate(found.values()):
      part = f"{index:05d}.jsonl"
      if package and not writer.has(part):
        rows = sampler.draw(
          package,
          quotas[package.name],
          documented=package.name in DOCUMENTED,
        )
        facts = {"shard": package.name, "version": package.version}
        _write(writer, part, package.name, rows, number=index, **facts)
      progress(index + 1, number + 1)
    part = f"{number:05d}.jsonl"
    if installed_files.STANDARD_LIBRARY in self.packages:
      if not writer.has(part):
        facts = {"shard": TOPICS, "number": number}
        _write(writer, part, TOPICS, installed_sample.topics(), **facts)
    progress(number + 1, number + 1)
    writer.finish(missing=missing, **_counts(writer.manifest))


def _write(
  writer: artifacts.Writer,
  part: str,
  source: str,
  rows: Sequence[installed_sample.Passage],
  **facts: Any,
) -> None:
  lines = [
    json.dumps(
      {
        "text": row.text,
        "source": source,
        "group": row.module,
        "kind": row.kind,
        "file": row.name,
      },
      ensure_ascii=False,
    )
    for row in rows
  ]
  data = "".join(line + "\n" for line in lines).encode("utf-8")
  kinds = dict(Counter(row.kind for row in rows))
  writer.write_bytes(part, data, records=len(rows), kinds=kinds, **facts)


def _counts(manifest: artifacts.Manifest) -> dict[str, Any]:
  kinds: Counter[str] = Counter()
  for facts in manifest.parts.values():
    kinds.update(facts["kinds"])
  return {"records": sum(kinds.values()), "kinds": dict(kinds)}
