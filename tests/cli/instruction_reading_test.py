# SPDX-License-Identifier: Apache-2.0
"""Prompts and responses apart: streams, parts, and corpora without any."""

import json

import pytest

from data_efficient import main
from data_efficient.cli import reading, scope
from data_efficient.data import corpora, prepared, score_sets, selections
from data_efficient.scorers import length
from data_efficient.scorers.templates import Instruction
from tests import decoders
from tests.cli import reading_test
from tests.data import fakes
from tests.scorers.simple_scorers_test import Words

SHARDS = {"a": 5, "b": 0, "c": 3}


class Pairs(fakes.Memory):
  """Instructions in memory; their texts are prompt and response, joined."""

  def __init__(self, shards):
    super().__init__(
      {
        name: ["\n\n".join(filter(None, row)) for row in rows]
        for name, rows in shards.items()
      }
    )
    self._pairs = shards

  def instructions(self, shard, start=0):
    yield from self._pairs[shard][start:]


def _rows():
  return {
    name: [Instruction(f"{name}{n}?", f"yes {n}") for n in range(count)]
    for name, count in SHARDS.items()
  }


def _reader(corpus, directory):
  made = prepared.Prepared(corpus, str(directory), reading_test.POLICY)
  whole = scope.of(made, None, None)
  scorer = length.Length(tokenizer=Words(), counted="response", name="apart")
  return made, reading.reader_of(made, whole, scorer, None)


def test_a_run_of_a_stream_is_what_the_whole_has_there(tmp_path, monkeypatch):
  monkeypatch.setattr(scope, "BLOCK", 2)
  rows = _rows()
  _, reader = _reader(Pairs(rows), tmp_path)
  everything = [row for found in rows.values() for row in found]
  for start, stop in [(0, None), (0, 6), (2, 5), (4, None), (6, 8), (5, 5)]:
    blocks = [*reader.stream("pool", start, stop)]
    assert sum(blocks, []) == everything[start:stop]
    assert all(len(block) <= 2 for block in blocks)


def test_parts_are_read_apart_and_checked(tmp_path):
  rows = _rows()
  made, reader = _reader(Pairs(rows), tmp_path)
  known = made.index.shard_column("a", "fingerprint")
  parts = [score_sets.PartKey("a", n, 2 * n, 2) for n in (0, 1)]
  assert [*reader.shard(parts, known)] == [rows["a"][:2], rows["a"][2:4]]
  assert [*reader.shard(parts[1:], known)] == [rows["a"][2:4]]
  rows["a"][3] = Instruction("a3?", "another")
  _, changed = _reader(Pairs(rows), tmp_path / "other")
  with pytest.raises(corpora.CorpusError, match="shard a, row 3: .*changed"):
    [*changed.shard(parts, known)]
  assert reader.blank(2) == [Instruction("", "")] * 2


def test_a_corpus_of_texts_is_no_corpus_of_instructions(tmp_path):
  corpus = fakes.Memory({"a": ["text"]})
  with pytest.raises(ValueError, match="'apart' reads prompts and responses"):
    _reader(corpus, tmp_path)
  assert isinstance(Pairs(_rows()), corpora.InstructionCorpus)


def test_the_longest_responses_of_files_are_kept(tmp_path, capsys):
  """By the command line: files, scores of length, two budgets."""
  decoders.save(tmp_path / "judge")
  (tmp_path / "pool").mkdir()
  for shard, lengths in (("a", (3, 9, 0)), ("b", (7, 1, 5, 8))):
    rows = [{"instruction": "say", "output": "x" * n} for n in lengths]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / f"pool/{shard}.jsonl").write_text(text)
  pool = {"POOL": f"{tmp_path}/pool/*.jsonl", "PREPARED": f"{tmp_path}/index"}

  def run(verb, *files, **bindings):
    words = [f"--gin_file=gin/{file}.gin" for file in files]
    words += [f"--gin.{name}={value!r}" for name, value in bindings.items()]
    assert main.main([verb, *words]) == 0

  run(
    "score",
    *("runs/score", "data/instruction_pool", "data/vocabulary_file"),
    "scorers/length",
    **pool,
    **{"SCORED_SPLITS": ("pool",), "VOCABULARY_FILE": f"{tmp_path}/judge"},
    OUTPUT=f"{tmp_path}/scores",
  )
  for fraction, kept in ((0.3, [[1], [3]]), (0.6, [[1], [0, 2, 3]])):
    run(
      "select",
      *("runs/select", "data/instruction_pool", "selectors/length"),
      "selectors/budget_examples",
      **pool,
      **{"SCORES": f"{tmp_path}/scores", "TOKEN_COUNTS": None},
      KEEP_FRACTION=fraction,
      OUTPUT=f"{tmp_path}/kept-{fraction}",
    )
    found = selections.Selection.open(tmp_path / f"kept-{fraction}")
    assert [found.positions(shard).tolist() for shard in found.shards] == kept
  # Of the seven one has no response.
  assert "kept 4 of 7 records" in capsys.readouterr().out
