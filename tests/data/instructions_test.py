# SPDX-License-Identifier: Apache-2.0
"""Instructions in files: as records, as a corpus, and under a selection."""

import json

import numpy as np
import pytest

from data_efficient.data import (
  artifacts,
  corpora,
  corpus_index,
  instructions,
  selections,
)
from data_efficient.scorers.templates import Instruction

ROWS = {
  "a": [
    {"instruction": "one", "output": "1", "task": "count"},
    {"instruction": "two", "input": "more", "output": "2", "kind": "sum"},
    {"instruction": "three", "output": " ", "task": ""},
  ],
  "b": [{"instruction": "vier \ud800", "output": "4"}],
}


def _write(directory, rows=None):
  directory.mkdir(exist_ok=True)
  for name, found in (rows or ROWS).items():
    lines = "".join(json.dumps(row) + "\n" for row in found)
    (directory / f"{name}.jsonl").write_text(lines)
  return directory


@pytest.fixture
def files(tmp_path):
  return _write(tmp_path / "files")


def _made(files, **changes):
  fields = {
    "pattern": f"{files}/*.jsonl",
    "prompt_field": "instruction",
    "input_field": "input",
    "response_field": "output",
    "task_field": ("task", "kind"),
  }
  return instructions.Instructions(**fields | changes)


def _select(files, directory, positions=(1,)):
  index = corpus_index.build(_made(files), directory / "index")
  return selections.write(
    directory / "selection",
    identity={"corpus": index.describe()},
    kept=[("a.jsonl", np.array(positions), np.ones(len(positions)))],
    shards=index.shards,
    summary=dict,
  )


def test_records_and_tasks(files):
  found = _made(files)
  assert found.records == [
    Instruction("one", "1"),
    Instruction("two\n\nmore", "2"),
    Instruction("three", " "),
    Instruction("vier \ufffd", "4"),
  ]
  assert found.tasks == ["count", "sum", "a", "b"]
  assert _made(files, task_field=()).tasks == ["a", "a", "a", "b"]
  assert _made(files, task_field="task").tasks == ["count", "a", "a", "b"]


def test_a_task_may_be_the_number_0(tmp_path):
  rows = [{"instruction": str(n), "output": "1", "task": n} for n in (0, 1)]
  found = _made(_write(tmp_path / "files", {"a": rows}))
  assert found.tasks == ["0", "1"]


def test_a_corpus_of_their_texts(files, tmp_path):
  corpus = _made(files)
  assert isinstance(corpus, corpora.Corpus)
  assert isinstance(corpus, corpora.InstructionCorpus)
  assert corpus.shards() == ["a.jsonl", "b.jsonl"]
  read = list(corpus.read("a.jsonl", 1))
  assert [record.text for record in read] == ["two\n\nmore\n\n2", "three"]
  assert [record.position for record in read] == [1, 2]
  assert [record.source for record in read] == ["sum", "a"]
  assert read[0].id == "a.jsonl__1"
  assert list(corpus.instructions("a.jsonl", 1)) == corpus.records[1:3]
  index = corpus_index.build(corpus, tmp_path / "index")
  assert index.describe() == corpus._described
  with pytest.raises(corpora.CorpusError, match="no file 'c.jsonl'"):
    list(corpus.read("c.jsonl"))


def test_what_a_selection_keeps(files, tmp_path):
  chosen = _select(files, tmp_path, (0, 2))
  kept = _made(files, selection=str(chosen.directory))
  assert kept.records == [Instruction("one", "1"), Instruction("three", " ")]
  assert kept.tasks == ["count", "a"]
  axis = kept.axis(["scored", "scored"])
  assert axis.files == ["a.jsonl", "a.jsonl"]
  assert axis.positions.tolist() == [0, 2]
  assert kept.identity() != _made(files).identity()
  other = _select(files, tmp_path / "other", (1,))
  again = _made(files, selection=str(other.directory))
  assert kept.identity() != again.identity()
  with pytest.raises(corpora.CorpusError, match="POOL_SELECTION"):
    kept.shards()


def test_files_that_were_edited_are_noticed(files, tmp_path):
  chosen = str(_select(files, tmp_path).directory)
  edited = {**ROWS, "b": [{"instruction": "five", "output": "5"}]}
  _write(files, edited)
  with pytest.raises(artifacts.ArtifactError, match=r"corpus\.fingerprint"):
    _ = _made(files, selection=chosen).records
  alone = _made(files, pattern=f"{files}/a.jsonl", selection=chosen)
  with pytest.raises(artifacts.ArtifactError, match=r"corpus\.shards\.b"):
    _ = alone.records


def test_a_selection_from_a_kernel_is_of_its_files(files, tmp_path):
  made = {"examples": _made(files).identity()}

  def write(name, kept):
    return selections.write(
      tmp_path / name,
      identity={"corpus": {"name": "examples"}, "pairs": {"kernel": made}},
      kept=[("a.jsonl", np.array(kept), np.ones(len(kept)))],
      # As of a kernel whose last examples were left out.
      shards={"a.jsonl": 2},
      summary=dict,
    )

  kept = _made(files, selection=str(write("one", [1]).directory))
  assert kept.records == [Instruction("two\n\nmore", "2")]
  nothing = _made(files, selection=str(write("none", []).directory))
  with pytest.raises(corpora.CorpusError, match="keeps no record"):
    _ = nothing.records
  _write(files, {"b": ROWS["b"] * 2})
  edited = _made(files, selection=str(tmp_path / "one"))
  with pytest.raises(artifacts.ArtifactError, match=r"files\.b\.jsonl"):
    _ = edited.records
