# SPDX-License-Identifier: Apache-2.0
"""The embedded corpus, on small packages made for the test."""

import importlib.metadata
import json
import pathlib
import sysconfig

import pytest

from data_efficient.data import (
  artifacts,
  corpora,
  corpus_index,
  installed_files,
  installed_text,
)

PROSE = "This function explains at length what it does and why. " * 5
MODULE = f'''"""{PROSE}"""
raise SystemExit("imported!")
if True:
  class A:
    """short"""
    def f(self):
      """{PROSE} In f."""
  async def g():
    try:
      pass
    except ValueError:
      def h():
        """{PROSE} In h."""
'''


def _file(path, name=None):
  kind = installed_files._kind(pathlib.PurePosixPath(name or path.name))
  return installed_files.File(
    path, name or path.name, kind, path.stat().st_size
  )


@pytest.fixture
def site(tmp_path, monkeypatch):
  """Two distributions: `edited` and `noisy`, and a stdlib of one module."""
  root = tmp_path / "site"
  files = {
    "edited/__init__.py": MODULE,
    "edited/__init__.pyi": "def f() -> int: ...\n" * 60,
    "noisy/broken.py": "def (:\n" * 50,
    "noisy/latin.txt": "caf\xe9 " * 100,
    "noisy/a/copy.h": "".join(f"#define A{i} {i}\n" for i in range(200)),
    "noisy/b/copy.h": "".join(f"#define A{i} {i}\n" for i in range(200)),
    "noisy/table.csv": "".join(f"{i},{i * i}\n" for i in range(300)),
    "noisy/logo.png": "not text",
  }
  for package in ("edited", "noisy"):
    info = root / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {package}\nVersion: 1.0\n" * 20)
    (info / "LICENSE").write_text("Permission is granted.\n" * 30)
    names = [name for name in files if name.startswith(package)]
    listed = [*names, f"{info.name}/METADATA", f"{info.name}/LICENSE"]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in listed))
  for name, text in files.items():
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(text.encode("latin-1"))
  stdlib = tmp_path / "stdlib"
  (stdlib / "pydoc_data").mkdir(parents=True)
  topics = {"if": "The if statement. " * 20, "zz": "short"}
  (stdlib / "pydoc_data" / "topics.py").write_text(f"topics = {topics!r}\n")
  (stdlib / "mod.py").write_text(MODULE)
  (stdlib / "test").mkdir()
  (stdlib / "test" / "test_mod.py").write_text(MODULE)
  monkeypatch.setattr(sysconfig, "get_path", lambda name: str(stdlib))

  def distribution(name):
    info = root / f"{name}-1.0.dist-info"
    if not info.is_dir():
      raise importlib.metadata.PackageNotFoundError(name)
    return importlib.metadata.PathDistribution(info)

  monkeypatch.setattr(importlib.metadata, "distribution", distribution)
  return root


def _corpus(tmp_path, **fields):
  fields = {"packages": ("python", "edited", "noisy", "absent"), **fields}
  return installed_text.InstalledText(
    directory=str(tmp_path / "snapshot"), passages=60, **fields
  )


def _records(corpus):
  return [record for shard in corpus.shards() for record in corpus.read(shard)]


def test_docstrings_are_parsed_and_not_run(tmp_path):
  path = tmp_path / "m.py"
  path.write_text(MODULE)
  found = installed_files.docstrings(_file(path))
  assert [text.split(".")[-2].strip() for text in found[1:]] == ["In f", "In h"]
  path.write_text("def (:")
  assert installed_files.docstrings(_file(path)) == []
  path.write_text(f'"""{PROSE} \\ud800"""')
  assert installed_files.docstrings(_file(path)) == []


def test_passages_keep_lines_and_sizes(tmp_path):
  path = tmp_path / "m.txt"
  lines = [f"line {i} " + "x" * (i % 70) for i in range(500)]
  path.write_text("\n".join(lines))
  found = installed_files.passages(_file(path))
  assert "\n".join(found) == path.read_text()
  assert all(600 <= len(text) <= 1500 for text in found[:-1])
  path.write_text("y" * 4000)
  assert [len(t) for t in installed_files.passages(_file(path))] == [
    1500,
    1500,
    1000,
  ]
  path.write_bytes(b"\xe9" * 999)
  assert installed_files.passages(_file(path)) == []


def test_kinds_and_modules():
  kinds = {
    "a/LICENSE.txt": "licence",
    "a.dist-info/RECORD": "metadata",
    "a/b_pb2.py": "stub",
    "a/b.pyi": "stub",
    "a/b.py": "source",
    "a/b.h": "source",
    "a/b.csv": "table",
    "a/b.so": "",
  }
  for name, kind in kinds.items():
    assert installed_files._kind(pathlib.PurePosixPath(name)) == kind
  modules = {"a/b.py": "a.b", "a/b.pyi": "a.b", "a/__init__.py": "a"}
  for name, module in modules.items():
    assert installed_files.File(None, name, "source", 0).module == module


def test_snapshot(site, tmp_path):
  corpus = _corpus(tmp_path)
  assert isinstance(corpus, corpora.Corpus)
  assert corpus.shards() == ["python", "edited", "noisy", "pydoc_topics"]
  records = _records(corpus)
  sources = {record.source for record in records}
  assert {
    *("python/docstring", "edited/docstring", "edited/stub"),
    *("noisy/source", "noisy/table", "noisy/metadata", "edited/licence"),
    "pydoc_topics/topic",
  } <= sources
  groups = {record.group for record in records if "edited/" in record.source}
  assert "edited" in groups
  texts = [r.text for r in records if r.source == "noisy/source"]
  assert len(set(texts)) < len(texts)  # copies stay copies
  assert not any("test_mod" in record.group for record in records)
  summary = corpus.build().summary
  assert summary["missing"] == ["absent"]
  assert summary["records"] == len(records)
  index = corpus_index.build(corpus, tmp_path / "index")
  assert index.records == len(records)


def test_snapshot_is_deterministic_and_final(site, tmp_path):
  first = _corpus(tmp_path / "x")
  first.build()
  second = _corpus(tmp_path / "y")
  second.build()
  assert first.identity() == second.identity()
  for path in (tmp_path / "x" / "snapshot").iterdir():
    other = tmp_path / "y" / "snapshot" / path.name
    assert path.read_bytes() == other.read_bytes()
  (site / "edited" / "__init__.py").write_text("# upgraded")
  again = _corpus(tmp_path / "x")
  assert _records(again) == _records(first)
  with pytest.raises(artifacts.ArtifactError, match="seed: found 0"):
    _corpus(tmp_path / "x", seed=1).shards()


def test_snapshot_resumes_by_package(site, tmp_path, monkeypatch):
  expected = _records(_corpus(tmp_path / "x"))
  draw = installed_text.installed_sample.Sampler.draw
  calls = []

  def breaks(self, package, quota, *, documented):
    calls.append(package.name)
    if calls == ["python", "edited"]:
      raise KeyboardInterrupt
    return draw(self, package, quota, documented=documented)

  monkeypatch.setattr(installed_text.installed_sample.Sampler, "draw", breaks)
  with pytest.raises(KeyboardInterrupt):
    _corpus(tmp_path / "y").build()
  assert _records(_corpus(tmp_path / "y")) == expected
  assert calls == ["python", "edited", "edited", "noisy"]


def test_no_package_at_all(site, tmp_path):
  with pytest.raises(corpora.CorpusError, match="absent, gone"):
    _corpus(tmp_path, packages=("absent", "gone")).shards()


def test_single_passages_are_read_by_their_offsets(site, tmp_path):
  corpus = _corpus(tmp_path)
  for shard in corpus.shards():
    found = list(corpus.read(shard))[::-2]
    texts = corpus.fetch(
      shard, [row.position for row in found], [row.offset for row in found]
    )
    assert texts == [row.text for row in found]
  assert list(corpus.read(shard, 1)) == list(corpus.read(shard))[1:]


def test_flipped_byte_in_the_snapshot(site, tmp_path):
  corpus = _corpus(tmp_path)
  corpus.build()
  path = tmp_path / "snapshot" / "00001.jsonl"
  path.write_bytes(path.read_bytes().replace(b"text", b"test", 1))
  with pytest.raises(artifacts.ArtifactError, match="00001.jsonl: damaged"):
    list(corpus.read("edited"))


def test_real_topics_and_packages():
  topics = installed_files.topics()
  assert not topics or json.dumps(topics["if"])
  package = installed_files.find("absl-py")
  assert package.version and any(f.kind == "source" for f in package.files)
  assert installed_files.find("no-such-package") is None
