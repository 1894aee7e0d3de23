# SPDX-License-Identifier: Apache-2.0
"""Scores by Beam pipelines are those of one process, to the last byte."""

import functools

import pytest
import sentencepiece

from data_efficient import main
from data_efficient.cli import hardware, scoring_parts
from data_efficient.data import (
  artifacts,
  file_corpus,
  pipelines,
  score_sets,
  sketch_stores,
)
from data_efficient.data.score_sets import PartKey
from tests import compilation
from tests.cli import embedding_test

pytest.importorskip(
  "apache_beam", reason="Apache Beam is not installed: run `make beam`"
)
HERE = ("--runner=DirectRunner",)
PROCESSES = (
  *HERE,
  "--direct_num_workers=2",
  "--direct_running_mode=multi_processing",
)
checkpoint, vectors = embedding_test.checkpoint, embedding_test.vectors


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
  """One compile serves this process and its workers."""
  directory = str(tmp_path_factory.mktemp("compiled"))
  with pytest.MonkeyPatch.context() as patch, compilation.shared(directory):
    patch.setenv("JAX_COMPILATION_CACHE_DIR", directory)
    patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
  """A corpus of two files, gin files of small scorers, a vocabulary."""
  directory = embedding_test.write_place(tmp_path_factory.mktemp("scored"))
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter([" ".join(embedding_test.WORDS)] * 9),
    model_prefix=str(directory / "words"),
    vocab_size=100,
    hard_vocab_limit=False,
    **{"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    minloglevel=2,
  )
  for name, module, scorer, settings in (
    ("token_counts", "token_counts", "TokenCounts", "part_records = 7"),
    ("density", "density", "Density", SMALL),
  ):
    (directory / f"{name}.gin").write_text(
      f"include 'gin/scorers/{name}.gin'\n"
      "from __gin__ import dynamic_registration\n"
      f"from data_efficient.scorers import {module}\n"
      f"{module}.{scorer}:\n  {settings}\n"
    )
  return directory


SMALL = "num_rows = 8\n  num_buckets = 50\n  block = 16\n  part_records = 13"


@pytest.fixture
def score(place, tmp_path):
  """Runs the verb into a folder of this test; returns the exit status."""

  def run(output, files, options=None, **bindings):
    bound = {
      "FILES": f"{place}/*.jsonl",
      "PREPARED": f"{place}/prepared",
      "OUTPUT": str(tmp_path / output),
      "SCORED_SPLITS": None,
      "BEAM_OPTIONS": options,
      **bindings,
    }
    files = ["gin/runs/score.gin", "gin/data/files.gin", *files]
    return main.main(
      ["score", *(f"--gin_file={name}" for name in files)]
      + [f"--gin.{name}={value!r}" for name, value in bound.items()]
    )

  return run


@pytest.fixture
def counts(place, score):
  """`score` of tokens."""
  files = ("gin/data/vocabulary_file.gin", f"{place}/token_counts.gin")
  return functools.partial(
    score, files=files, VOCABULARY_FILE=f"{place}/words.model"
  )


def _bytes(directory):
  return {
    path.name: path.read_bytes()
    for path in directory.iterdir()
    if path.name not in ("cost.json", ".lock")
  }


def test_tokens_are_counted_alike(counts, tmp_path):
  assert counts("local") == 0
  assert counts("beam", options=HERE) == 0
  assert _bytes(tmp_path / "beam") == _bytes(tmp_path / "local")
  # Done before: no pipeline is built, these options would be refused.
  assert counts("beam", options=("--runner=None",)) == 0


def test_a_sketch_is_built_and_read_alike(place, vectors, score, tmp_path):
  density = functools.partial(
    score, files=(f"{place}/density.gin",), EMBEDDINGS=str(vectors)
  )
  assert density("local") == 0
  assert density("beam", options=PROCESSES) == 0
  found = _bytes(tmp_path / "beam")
  assert sketch_stores.NAME in found
  assert found == _bytes(tmp_path / "local")
  # Nothing lies beside it, either.
  assert {path.name for path in tmp_path.iterdir()} == {"local", "beam"}


@pytest.mark.parametrize("name", ["semdedup", "prototypes"])
def test_clusters_are_scored_alike(place, vectors, score, tmp_path, name):
  clustered = functools.partial(
    score, files=(f"{place}/{name}.gin",), EMBEDDINGS=str(vectors)
  )
  assert clustered("local") == 0
  assert clustered("beam", options=HERE) == 0
  assert _bytes(tmp_path / "beam") == _bytes(tmp_path / "local")


def test_vectors_are_made_anew_by_the_workers(
  place, checkpoint, score, tmp_path
):
  files = (f"{place}/encoder.gin", f"{place}/density.gin")
  density = functools.partial(
    score, files=files, ENCODER_CHECKPOINT=str(checkpoint)
  )
  for output, options in (("local", None), ("beam", HERE)):
    text = f"RECOMPUTED = %EMBEDDER\nBEAM_OPTIONS = {options}\n"
    (tmp_path / "anew.gin").write_text(text)
    anew = (*files, str(tmp_path / "anew.gin"))
    assert density(output, options=options, files=anew) == 0
  assert _bytes(tmp_path / "beam") == _bytes(tmp_path / "local")


def test_only_what_is_missing_goes_to_the_pipeline(
  counts, tmp_path, monkeypatch
):
  assert counts("local") == 0
  score, done = scoring_parts.Job.score, []

  def stopping(self, writer, parts, advance):
    failed = score(self, writer, parts[:4], advance)
    raise ValueError(f"power cut {failed}")

  def noting(self, writer, parts, advance):
    done.extend(parts)
    return score(self, writer, parts, advance)

  monkeypatch.setattr(scoring_parts.Job, "score", stopping)
  assert counts("beam") == 2
  monkeypatch.setattr(scoring_parts.Job, "score", noting)
  assert counts("beam", options=HERE) == 0
  assert sorted(done) == [
    *[PartKey("a.jsonl", n, 7 * n, min(7, 40 - 7 * n)) for n in (4, 5)],
    *[PartKey("b.jsonl", n, 7 * n, min(7, 20 - 7 * n)) for n in (0, 1, 2)],
  ]
  assert _bytes(tmp_path / "beam") == _bytes(tmp_path / "local")


def test_workers_say_which_shard_they_could_not_read(
  counts, tmp_path, capsys, monkeypatch
):
  assert counts("local") == 0
  read = file_corpus.Files.read

  def broken(self, shard, start=0):
    for record in read(self, shard, start):
      if (shard, record.position) == ("b.jsonl", 7):
        record = record._replace(text="another text")
      yield record

  monkeypatch.setattr(file_corpus.Files, "read", broken)
  assert counts("beam", options=HERE) == 2
  error = capsys.readouterr().err
  assert "1 shards could not be read" in error
  assert "shard b.jsonl, row 7: the text is not the one" in error
  with pytest.raises(artifacts.ArtifactError, match=r"unfinished"):
    score_sets.ScoreSet.open(tmp_path / "beam")
  monkeypatch.setattr(file_corpus.Files, "read", read)
  assert counts("beam", options=HERE) == 0
  assert _bytes(tmp_path / "beam") == _bytes(tmp_path / "local")


def test_a_worker_of_another_kind_is_refused(monkeypatch):
  sent = hardware.numerics()
  hardware.check(sent)
  other = {**sent, "backend": "tpu"}
  with pytest.raises(hardware.HardwareError, match="tpu.*start it where"):
    hardware.check(other)


def test_pipelines_are_started_by_one_process(counts, capsys, monkeypatch):
  monkeypatch.setattr("data_efficient.processes.count", lambda: 2)
  assert counts("beam", options=HERE) == 2
  assert "BEAM_OPTIONS are for one process" in capsys.readouterr().err


def test_runs_are_neighbours_of_one_shard():
  keys = [PartKey("a", n, n, 1) for n in (*range(40), 42)]
  keys.append(PartKey("b", 43, 43, 1))
  assert scoring_parts._runs(keys) == [
    ("a", 0, 32),
    ("a", 32, 40),
    ("a", 42, 43),
    ("b", 43, 44),
  ]


def test_a_pipeline_needs_options(tmp_path):
  # An unknown runner is Beam's own error, and leaves nothing beside.
  each = pipelines.each(["--runner=Nobody"], tmp_path / "scores")
  with pytest.raises(Exception, match="Nobody"):
    list(each(lambda number: (), 1))
  assert list(tmp_path.iterdir()) == []
