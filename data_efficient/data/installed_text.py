# SPDX-License-Identifier: Apache-2.0
"""The embedded default corpus: what our pins and Python put on the disk.

Real text with real noise: docstrings, and for the greater part sources,
generated stubs, metadata, licences and data tables. It is sampled once into a
snapshot of JSON lines; afterwards only the snapshot is read, so that an
upgraded package does not change a corpus that has been scored.
"""

import dataclasses
import functools
import heapq
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import xxhash

from data_efficient.data import artifacts, installed_files, records
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
_A_FILE = 8  # passages at most: one generated file must not fill a package


class _Passage(NamedTuple):
  name: str
  index: int
  text: str
  kind: str
  module: str


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
    lines = self._manifest.read_bytes(self._parts[shard]).splitlines()
    for position in range(start, len(lines)):
      row = json.loads(lines[position])
      yield Record(
        position=position,
        text=row["text"],
        source=f"{row['source']}/{row['kind']}",
        group=row["group"],
        id=records.record_id(shard, position),
      )

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
    quotas = self._quotas(installed)
    for number, package in enumerate(installed):
      part = f"{number:05d}.jsonl"
      if not writer.has(part):
        rows = self._package(package, quotas[package.name])
        facts = {"shard": package.name, "version": package.version}
        _write(writer, part, package.name, rows, number=number, **facts)
      progress(number + 1, len(installed) + 1)
    part = f"{len(installed):05d}.jsonl"
    if installed_files.STANDARD_LIBRARY in self.packages:
      if not writer.has(part):
        facts = {"shard": TOPICS, "number": len(installed)}
        _write(writer, part, TOPICS, _topics(), **facts)
    progress(len(installed) + 1, len(installed) + 1)
    writer.finish(missing=missing, **_counts(writer.manifest))

  def _quotas(
    self, packages: Sequence[installed_files.Package]
  ) -> dict[str, int]:
    sizes = {
      package.name: math.sqrt(sum(file.bytes for file in package.files))
      for package in packages
    }
    total = sum(sizes.values()) or 1.0
    return {
      name: round(self.passages * size / total) for name, size in sizes.items()
    }

  def _package(
    self, package: installed_files.Package, quota: int
  ) -> list[_Passage]:
    """Draws `quota` passages, fewer if there are not as many."""
    strata = self._strata(package.files)
    queues = [
      _timed(drawn, weight, order)
      for order, (weight, drawn) in enumerate(strata)
    ]
    merged = heapq.merge(*queues, key=lambda item: item[0])
    chosen = {
      (passage.name, passage.kind == "docstring", passage.index): passage
      for _, passage in itertools.islice(merged, quota)
    }
    if package.name in DOCUMENTED:
      for file in _python(package.files):
        for passage in _docstrings(file):
          chosen[passage.name, True, passage.index] = passage
    return [chosen[key] for key in sorted(chosen)]

  def _strata(
    self, files: Sequence[installed_files.File]
  ) -> list[tuple[float, Iterator[_Passage]]]:
    """Returns a weight and an ordered draw for docstrings and each kind."""
    kinds = sorted({file.kind for file in files})
    roots = {
      kind: math.sqrt(sum(file.bytes for file in files if file.kind == kind))
      for kind in kinds
    }
    total = sum(roots.values()) or 1.0
    strata = [
      (
        (1 - self.docstring_share) * roots[kind] / total,
        self._draw([file for file in files if file.kind == kind], _raw),
      )
      for kind in kinds
    ]
    docstrings = self._draw(_python(files), _docstrings)
    strata.append((self.docstring_share, docstrings))
    return [stratum for stratum in strata if stratum[0] > 0]

  def _draw(
    self,
    files: Sequence[installed_files.File],
    cut: Callable[[installed_files.File], list[_Passage]],
  ) -> Iterator[_Passage]:
    def file_key(file: installed_files.File) -> tuple[int, str]:
      return self._hash(f"{file.path.name}\0{file.bytes}"), file.name

    for file in sorted(files, key=file_key):
      drawn = sorted(cut(file), key=lambda passage: self._hash(passage.text))
      yield from drawn[:_A_FILE]

  def _hash(self, text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8"), seed=self.seed)


def _timed(
  drawn: Iterator[_Passage], weight: float, order: int
) -> Iterator[tuple[tuple[float, int], _Passage]]:
  """Yields when each passage of a stratum is due: the i-th at i / weight."""
  for i, passage in enumerate(drawn, 1):
    yield (i / weight, order), passage


def _python(
  files: Iterable[installed_files.File],
) -> list[installed_files.File]:
  return [file for file in files if file.name.endswith(".py")]


def _raw(file: installed_files.File) -> list[_Passage]:
  return [
    _Passage(file.name, index, text, file.kind, file.module)
    for index, text in enumerate(installed_files.passages(file))
  ]


def _docstrings(file: installed_files.File) -> list[_Passage]:
  return [
    _Passage(file.name, index, text, "docstring", file.module)
    for index, text in enumerate(installed_files.docstrings(file))
  ]


def _topics() -> list[_Passage]:
  return [
    _Passage(topic, index, text, "topic", f"pydoc_data.topics.{topic}")
    for topic, texts in installed_files.topics().items()
    for index, text in enumerate(texts)
  ]


def _write(
  writer: artifacts.Writer,
  part: str,
  source: str,
  rows: Sequence[_Passage],
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
