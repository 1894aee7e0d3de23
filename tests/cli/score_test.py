# SPDX-License-Identifier: Apache-2.0
"""`score` by the command line: corpora of several parts, and bad ones."""

import gzip
import json
import random
import re

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_efficient import main, progress
from data_efficient.cli import hardware
from data_efficient.data import (
  artifacts,
  corpus_index,
  file_corpus,
  score_set_writer,
  score_sets,
  selections,
)
from tests import quickstarts
from tests.data import tfds_corpus_test

# Where a corpus's index is kept.
PLACES = {
  "FILES": "index",
  "HQ_FILES": "hq_index",
  "IN_DISTRIBUTION_FILES": "in_distribution_index",
}


class TinyBooks(tfds_corpus_test.TinyText):
  """A second dataset of TFDS."""

  def _split_generators(self, manager):
    return {"train": self._rows(_texts(9, 40))}


def _texts(seed, count):
  generator = random.Random(seed)
  return [
    " ".join(generator.choice(quickstarts.WORDS) for _ in range(30))
    for _ in range(count)
  ]


def _write(path, texts, source="web"):
  rows = [json.dumps({"source": source, "text": text}) for text in texts]
  path.write_text("\n".join(rows) + "\n")
  return str(path)


def _score(directory, *gin_files, **bindings) -> int:
  """Runs `score`; PREPARED and OUTPUT are in the directory."""
  values = {
    "PREPARED": str(directory / "prepared"),
    "OUTPUT": str(directory / "scores"),
    **bindings,
  }
  files = ["gin/runs/score.gin", *gin_files]
  return main.main(
    ["score", *(f"--gin_file={name}" for name in files)]
    + [f"--gin.{name}={value!r}" for name, value in values.items()]
  )


def _splits(directory):
  return {
    name: selections.Selection.open(directory / "prepared" / "splits" / name)
    for name in ("pool", "reference", "hq", "in_distribution")
  }


def _statuses(directory):
  scores = score_sets.ScoreSet.open(directory)
  return np.concatenate(list(scores.statuses().values()))


def _left(directory):
  """Names of the artifacts of the preparation."""
  manifests = (directory / "prepared").rglob("manifest.json")
  return {path.parent.name for path in manifests}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
  """A gin file of a scorer that needs splits and is taught at once."""
  path = tmp_path_factory.mktemp("gin") / "classifier.gin"
  path.write_text(
    "include 'gin/scorers/quality_classifier.gin'\n"
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.scorers import quality_classifier\n"
    "quality_classifier.QualityClassifier:\n"
    "  features = 256\n  ngrams = 1\n  folds = 2\n"
  )
  return str(path)


@pytest.fixture
def bars(monkeypatch):
  """Label to total of every bar that was shown."""
  shown, plain = {}, progress.bar

  def bar(label, *, total, done=0):
    shown[label] = total
    return plain(label, total=total, done=done)

  monkeypatch.setattr(progress, "bar", bar)
  return shown


@pytest.fixture
def files(tmp_path):
  """Three corpora in files: macro to glob."""
  return {
    "FILES": _write(tmp_path / "web.jsonl", _texts(1, 60)),
    "HQ_FILES": _write(tmp_path / "books.jsonl", _texts(2, 40)),
    "IN_DISTRIBUTION_FILES": _write(tmp_path / "own.jsonl", _texts(3, 20)),
  }


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
  """A directory with two prepared datasets, tiny_text and tiny_books."""
  path = tmp_path_factory.mktemp("tfds")
  for builder in (tfds_corpus_test.TinyText, TinyBooks):
    builder(data_dir=str(path)).download_and_prepare(
      download_config=tfds.download.DownloadConfig(num_shards=2)
    )
  return str(path)


def test_both_evaluation_sets_from_files_of_their_own(
  tmp_path, files, classifier
):
  additions = ("gin/data/hq_files.gin", "gin/data/in_distribution_files.gin")
  gin_files = ("gin/data/files.gin", *additions, classifier)
  assert _score(tmp_path, *gin_files, **files) == 0
  found = _splits(tmp_path)
  corpora = {n: s.identity["corpus"]["name"] for n, s in found.items()}
  assert corpora == {
    "pool": "files",
    "reference": "hq_files",
    "hq": "hq_files",
    "in_distribution": "in_distribution_files",
  }
  assert found["pool"].records == 60
  assert found["in_distribution"].records == 20
  assert found["hq"].records + found["reference"].records == 40
  assert set(_statuses(tmp_path / "scores")) == {"scored"}


def test_the_in_distribution_set_alone_from_files_of_its_own(
  tmp_path, files, classifier
):
  del files["HQ_FILES"]
  _write(tmp_path / "wiki.jsonl", _texts(2, 60), source="edited/wiki")
  files["FILES"] = (files["FILES"], str(tmp_path / "wiki.jsonl"))
  gin_files = ("gin/data/files.gin", "gin/data/in_distribution_files.gin")
  patterns = {"REFERENCE_SOURCES": "edited/*"}
  assert _score(tmp_path, *gin_files, classifier, **files, **patterns) == 0
  found = _splits(tmp_path)
  assert found["in_distribution"].identity["corpus"]["records"] == 20
  assert found["hq"].identity["corpus"]["name"] == "files"
  assert found["hq"].identity["policy"]["reference_sources"] == ["edited/*"]
  for shard in found["pool"].shards:
    kept = [found[name].mask(shard) for name in ("pool", "reference", "hq")]
    other = found["pool"].summary["excluded"]["other text of an hq group"]
    expected = 60 - other if shard == "web.jsonl" else 60
    assert sum(mask.sum() for mask in kept) == expected


@pytest.mark.parametrize("hq", ["files", "tfds"])
def test_tfds_with_well_edited_text_from_elsewhere(
  tmp_path, files, datasets, hq, classifier
):
  bindings = {"HQ_FILES": files["HQ_FILES"]}
  if hq == "tfds":
    bindings = {"HQ_TFDS_NAME": "tiny_books", "HQ_TFDS_DATA_DIR": datasets}
  bindings |= {
    "TFDS_NAME": "tiny_text",
    "TFDS_DATA_DIR": datasets,
    "IN_DISTRIBUTION_TFDS_NAME": "tiny_text",
    "IN_DISTRIBUTION_TFDS_DATA_DIR": datasets,
    "IN_DISTRIBUTION_TFDS_SPLIT": "test",
  }
  additions = (f"gin/data/hq_{hq}.gin", "gin/data/in_distribution_tfds.gin")
  gin_files = ("gin/data/tfds.gin", *additions, classifier)
  assert _score(tmp_path, *gin_files, **bindings) == 0
  found = _splits(tmp_path)
  assert found["hq"].records + found["reference"].records == 40
  # The dataset's test split repeats four rows of its train split.
  assert found["in_distribution"].records == 4
  assert found["pool"].records == 23 - 4
  assert (_statuses(tmp_path / "scores") == "scored").sum() == 19


def test_tfds_alone_says_what_is_missing(
  tmp_path, datasets, capsys, classifier
):
  bindings = {"TFDS_NAME": "tiny_text", "TFDS_DATA_DIR": datasets}
  assert _score(tmp_path, "gin/data/tfds.gin", classifier, **bindings) == 2
  error = capsys.readouterr().err
  assert "Sources of this corpus: tiny_text" in error
  assert "gin/data/hq_files.gin" in error
  assert not (tmp_path / "scores").exists()


def _real_judge(experiment):
  """Gin files and macros that ask the experiment's judge, and embed."""
  (model,) = (experiment.root / "corpus/vocabulary").rglob("*.model")
  small = experiment.root.parent / "gin"
  vocabulary = "gin/data/vocabulary_file.gin"
  judge = (vocabulary, "gin/scorers/ask_llm.gin", f"{small}/model.gin")
  return (
    (judge, (vocabulary, f"{small}/embedding.gin")),
    {
      "JUDGE_CHECKPOINT": str(experiment.root / "models/teach_judge"),
      "JUDGE_KIND": "t5_tiny",
      "JUDGE_TOKENS": 300,
    },
    {"VOCABULARY_FILE": str(model), "SCORED_SPLITS": None},
  )


def test_a_corpus_without_edited_text_is_scored_as_a_whole(
  experiment, tmp_path, files, bars
):
  (judge, embedding), asked, bindings = _real_judge(experiment)
  bindings |= {"FILES": files["FILES"]}
  corpus = "gin/data/files.gin"
  assert _score(tmp_path, corpus, *judge, **asked, **bindings) == 0
  found = score_sets.ScoreSet.open(tmp_path / "scores")
  assert set(_statuses(tmp_path / "scores")) == {"scored"}
  assert found.identity["splits"] == "none: all records of the corpus"
  assert found.identity["scorer"]["judge"]["kind"] == "t5_tiny"
  vectors = str(tmp_path / "vectors")
  assert _score(tmp_path, corpus, *embedding, OUTPUT=vectors, **bindings) == 0
  density = {
    **{"OUTPUT": str(tmp_path / "density"), "EMBEDDINGS": vectors},
    **{"FILES": files["FILES"], "SCORED_SPLITS": None},
  }
  assert _score(tmp_path, corpus, "gin/scorers/density.gin", **density) == 0
  assert (_statuses(tmp_path / "density") == "scored").all()
  assert not (tmp_path / "prepared" / "splits").exists()
  # Everything that takes long has a bar with a total.
  for label in ("pass 1 over pool", "pass 2 over pool"):
    assert bars[f"density: {label}"] == 60
  assert bars["latent_semantic: pass 1 over pool"] == 60
  assert bars["density: bandwidth of 60 vectors"] == 1
  assert bars["score density"] == 60


def test_what_learns_from_splits_needs_them(
  tmp_path, files, capsys, classifier
):
  bindings = {"FILES": files["FILES"], "SCORED_SPLITS": None}
  assert _score(tmp_path, "gin/data/files.gin", classifier, **bindings) == 2
  assert "learns from the split 'reference'" in capsys.readouterr().err
  bindings["SCORED_SPLITS"] = ()
  assert _score(tmp_path, "gin/data/files.gin", classifier, **bindings) == 2
  assert "SCORED_SPLITS is empty" in capsys.readouterr().err


def test_the_classifier_shows_its_folds(tmp_path, files, classifier, bars):
  del files["IN_DISTRIBUTION_FILES"]
  gin_files = ("gin/data/files.gin", "gin/data/hq_files.gin", classifier)
  assert _score(tmp_path, *gin_files, **files) == 0
  found = _splits(tmp_path)
  reference, pool = found["reference"].records, found["pool"].records
  assert bars["quality_classifier: pass 1 over reference"] == reference
  assert bars["quality_classifier: pass 1 over pool"] == pool
  assert bars["quality_classifier: count n-grams"] == reference + pool
  assert bars["quality_classifier: teach folds"] == 2


@pytest.mark.parametrize(
  "macro", ["FILES", "HQ_FILES", "IN_DISTRIBUTION_FILES"]
)
@pytest.mark.parametrize("damage", ["truncated", "no file"])
def test_a_bad_corpus_is_named_and_leaves_nothing(
  tmp_path, files, capsys, macro, damage, classifier
):
  path = tmp_path / "cut.jsonl.gz"
  if damage == "truncated":
    rows = [json.dumps({"text": text}) for text in _texts(4, 2000)]
    whole = gzip.compress("\n".join(rows).encode())
    path.write_bytes(whole[: len(whole) // 2])
  files[macro] = str(path)
  additions = ("gin/data/hq_files.gin", "gin/data/in_distribution_files.gin")
  gin_files = ("gin/data/files.gin", *additions, classifier)
  assert _score(tmp_path, *gin_files, **files) == 2
  error = capsys.readouterr().err
  assert str(path) in error
  if damage == "truncated":
    row = re.search(r"cut.jsonl.gz, after line (\d+) \(row \1\): .*", error)
    assert 500 < int(row[1]) < 1500
    assert "the file is truncated or damaged" in error
  else:
    corpus = macro.lower()
    assert f"{corpus}: no file matches '{path}'" in error
    assert _left(tmp_path) == set()
  assert not (tmp_path / "scores").exists()
  assert not list(tmp_path.rglob("*.tmp"))
  assert _left(tmp_path) <= {"index", "hq_index"} - {PLACES[macro]}
  # A mended corpus finds nothing in its way.
  _write(tmp_path / "cut.jsonl", _texts(4, 50))
  files[macro] = str(tmp_path / "cut.jsonl")
  assert _score(tmp_path, *gin_files, **files) == 0


def test_a_file_in_two_roles(tmp_path, files, capsys, classifier):
  files["IN_DISTRIBUTION_FILES"] = files["FILES"]
  del files["HQ_FILES"]
  gin_files = ("gin/data/files.gin", "gin/data/in_distribution_files.gin")
  assert _score(tmp_path, *gin_files, classifier, **files) == 2
  error = capsys.readouterr().err
  assert "'web.jsonl' is a file of the pool" in error
  assert "cannot be learned from" in error
  assert not (tmp_path / "scores").exists()
  assert not (tmp_path / "prepared" / "splits").exists()


def test_a_pattern_that_matches_nothing(tmp_path, files, capsys, classifier):
  bindings = {"FILES": files["FILES"], "REFERENCE_SOURCES": ("wiki*",)}
  assert _score(tmp_path, "gin/data/files.gin", classifier, **bindings) == 2
  error = capsys.readouterr().err
  assert "REFERENCE_SOURCES: the pattern 'wiki*' matches no source" in error
  assert "Sources of this corpus: web" in error
  assert not (tmp_path / "scores").exists()
  assert not (tmp_path / "prepared" / "splits").exists()


def _uniform(tmp_path, **bindings):
  gin = tmp_path / "uniform.gin"
  gin.write_text(
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.scorers import uniform\n"
    "SCORER = @uniform.Uniform()\n"
  )
  bindings = {"SCORED_SPLITS": None, **bindings}
  return _score(tmp_path, "gin/data/files.gin", str(gin), **bindings)


def test_a_shard_that_breaks_costs_its_own_records(
  tmp_path, capsys, monkeypatch
):
  for name in "abc":
    _write(tmp_path / f"{name}.jsonl", _texts(ord(name), 20))
  files = {"FILES": str(tmp_path / "*.jsonl")}
  assert _uniform(tmp_path, OUTPUT=str(tmp_path / "whole"), **files) == 0
  read = file_corpus.Files.read

  def broken(self, shard, start=0):
    for record in read(self, shard, start):
      if (shard, record.position) == ("b.jsonl", 7):
        record = record._replace(text="another text")
      yield record

  monkeypatch.setattr(file_corpus.Files, "read", broken)
  assert _uniform(tmp_path, **files) == 2
  error = capsys.readouterr().err
  assert "1 shards could not be read" in error
  assert "shard b.jsonl, row 7: the text is not the one" in error
  assert "UNREADABLE_IS_UNSCORABLE" in error
  with pytest.raises(artifacts.ArtifactError, match=r"unfinished \(2 parts"):
    score_sets.ScoreSet.open(tmp_path / "scores")
  assert _uniform(tmp_path, UNREADABLE_IS_UNSCORABLE=True, **files) == 0
  statuses = score_sets.ScoreSet.open(tmp_path / "scores").statuses()
  assert {shard: set(found) for shard, found in statuses.items()} == {
    "a.jsonl": {"scored"},
    "b.jsonl": {"unscorable(unreadable)"},
    "c.jsonl": {"scored"},
  }


def test_a_cascade_scores_what_a_selection_kept(tmp_path, files):
  corpus = {"FILES": files["FILES"]}
  assert _uniform(tmp_path, OUTPUT=str(tmp_path / "cheap"), **corpus) == 0
  index = corpus_index.open_index(tmp_path / "prepared" / "index")
  kept = np.array([3, 5, 59])
  selections.write(
    tmp_path / "kept",
    identity={"corpus": index.describe(), "sampler": "by hand"},
    kept=[("web.jsonl", kept, np.ones(3))],
    shards=index.shards,
    summary=lambda: {},
  )
  cascade = {"CASCADE": str(tmp_path / "kept"), **corpus}
  assert _uniform(tmp_path, **cascade) == 0
  found = _statuses(tmp_path / "scores")
  assert np.flatnonzero(found == "scored").tolist() == kept.tolist()
  assert set(found) == {"scored", "not_requested"}
  identity = score_sets.ScoreSet.open(tmp_path / "scores").identity
  assert identity["splits"]["selection"]["sampler"] == "by hand"


def test_other_hardware_goes_on_only_when_asked(tmp_path, files, monkeypatch):
  corpus = {"FILES": files["FILES"]}
  write = score_set_writer.ScoreSetWriter.write

  def broken(*arguments, **keywords):
    raise ValueError("power cut")

  monkeypatch.setattr(score_set_writer.ScoreSetWriter, "write", broken)
  assert _uniform(tmp_path, **corpus) == 2
  monkeypatch.setattr(score_set_writer.ScoreSetWriter, "write", write)
  monkeypatch.setattr(
    hardware, "numerics", lambda: {"backend": "tpu", "device": "v9"}
  )
  assert _uniform(tmp_path, **corpus) == 2
  assert _uniform(tmp_path, RESUME_ELSEWHERE=True, **corpus) == 0
  found = score_sets.ScoreSet.open(tmp_path / "scores").identity
  assert found["numerics"]["backend"] == "cpu"
