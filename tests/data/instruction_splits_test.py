# SPDX-License-Identifier: Apache-2.0
"""Sets of instructions: what stays together, shares, and sets that overlap."""

import collections
import itertools
import json
import re

import pytest

from data_efficient import main
from data_efficient.data import (
  artifacts,
  instruction_overlap,
  instruction_splits,
  instructions,
)

ROWS = [
  *(
    {"instruction": f"Add {n} and {n + 1}.", "output": str(2 * n + 1)}
    for n in range(60)
  ),
  # The same records in other case and spacing, and with other answers.
  *(
    {"instruction": f"ADD  {n} and {n + 1}", "output": str(2 * n + 1)}
    for n in range(20)
  ),
  *(
    {"instruction": f"Add {n} and {n + 1}.", "output": "many", "kind": "odd"}
    for n in range(20, 30)
  ),
  *(
    {"instruction": f"Name {n}.", "output": " ", "title": f"t{n % 4}"}
    for n in range(40)
  ),
]
SHARES = {"pool": 0.6, "targets": 0.25, "test": 0.15}


def _instructions(pattern, **changes):
  fields = {
    "pattern": str(pattern),
    "prompt_field": "instruction",
    "input_field": "input",
    "response_field": "output",
    "task_field": "kind",
  }
  return instructions.Instructions(**fields | changes)


def _write(path, rows):
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return path


@pytest.fixture
def files(tmp_path):
  return _write(tmp_path / "all.jsonl", ROWS)


def _shares(files, **changes):
  settings = {"shares": SHARES, "group_field": (), "seed": 0}
  return instruction_splits.Shares(
    files=_instructions(files), **settings | changes
  )


def _read(directory, names=SHARES):
  return {
    name: [
      json.loads(line)
      for line in (directory / f"{name}.jsonl").read_text().splitlines()
    ]
    for name in names
  }


def _plain(prompt):
  """Words in lower case, in the simplest way."""
  return " ".join(re.findall("[a-z0-9]+", prompt.lower()))


def test_no_two_sets_share_a_prompt_and_nothing_is_lost(files, tmp_path):
  made = _shares(files).make(tmp_path / "sets")
  sets = _read(tmp_path / "sets")
  prompts = {
    name: {_plain(row["instruction"]) for row in rows}
    for name, rows in sets.items()
  }
  for one, other in itertools.combinations(prompts.values(), 2):
    assert not one & other
  rows = [row for each in sets.values() for row in each]
  origins = [row.pop("split_from") for row in rows]
  numbers = [int(origin.removeprefix("all.jsonl, row ")) for origin in origins]
  assert sorted(numbers) == list(range(len(ROWS)))
  assert all(
    row == ROWS[number] for row, number in zip(rows, numbers, strict=True)
  )
  summary = made.summary
  assert summary["sets"] == {name: len(found) for name, found in sets.items()}
  assert summary["bundles"] == 100
  assert summary["copies"] == {"fingerprint": 0, "prompt": 30}
  assert summary["empty_responses"] == 40
  for name, share in SHARES.items():
    assert abs(len(sets[name]) - share * len(ROWS)) <= 2
  # Record by record, some copies of the 30 pairs would have been torn apart.
  assert sum(summary["drawn_record_by_record"].values()) > 0
  instruction_overlap.check(
    {name: _instructions(tmp_path / f"sets/{name}.jsonl") for name in SHARES}
    | {"pool": _instructions(tmp_path / "sets/pool.jsonl")}
  )


def test_seeds_draw_other_sets_and_one_seed_the_same(files, tmp_path):
  made = {}
  for name, seed in (("a", 0), ("b", 0), ("c", 1)):
    _shares(files, seed=seed).make(tmp_path / name)
    made[name] = _read(tmp_path / name)
  assert made["a"] == made["b"] != made["c"]


@pytest.mark.parametrize("titles", [("t0", "t1", "t2", "t3"), (0, 1, 2, 3)])
def test_a_group_stays_on_one_side(tmp_path, titles):
  grouped = [
    {**row, "title": titles[number % 4]} if "title" in row else row
    for number, row in enumerate(ROWS)
  ]
  files = _write(tmp_path / "all.jsonl", grouped)
  _shares(files, group_field=("missing", "title")).make(tmp_path / "sets")
  places = collections.defaultdict(set)
  for name, rows in _read(tmp_path / "sets").items():
    for row in rows:
      places[row.get("title")].add(name)
  assert all(len(places[title]) == 1 for title in titles)


def test_a_task_that_a_file_was_named_after_outlives_the_split(tmp_path):
  for name, first in (("add", 0), ("subtract", 50)):
    rows = [
      {"instruction": f"{name} {n}", "output": "1"}
      for n in range(first, first + 50)
    ]
    _write(tmp_path / f"{name}.jsonl", rows)
  _shares(tmp_path / "*.jsonl").make(tmp_path / "sets")
  made = {
    name: _instructions(tmp_path / f"sets/{name}.jsonl", task_field=())
    for name in SHARES
  }
  for records in made.values():
    words = [record.prompt.partition(" ")[0] for record in records.records]
    assert records.tasks == words
  assert set(made["pool"].tasks) == {"add", "subtract"}
  instruction_overlap.check(made)


def test_edited_sets_and_edited_files_are_noticed(files, tmp_path):
  output = tmp_path / "sets"
  shares = _shares(files)
  assert not shares.make(output).done_before
  assert shares.make(output).done_before
  with pytest.raises(artifacts.ArtifactError, match="seed"):
    _shares(files, seed=3).make(output)
  test = output / "test.jsonl"
  test.write_text(test.read_text().replace("Add", "Sub"))
  with pytest.raises(artifacts.ArtifactError, match=r"test\.jsonl: damaged"):
    shares.make(output)
  _write(files, ROWS[1:])
  with pytest.raises(artifacts.ArtifactError, match="xxh3_64"):
    _shares(files).make(output)


def test_sets_that_overlap_are_refused_by_their_first_records(tmp_path):
  rows = [{"instruction": f"Say {n}", "output": str(n)} for n in range(9)]
  pool = _write(tmp_path / "pool.jsonl", rows)
  shared = [
    {"instruction": "new", "output": "a"},
    {"instruction": "say 3!", "output": "three"},
    *rows[5:7],
  ]
  test = _write(tmp_path / "test.jsonl", shared)
  sets = {"pool": _instructions(pool), "test": _instructions(test)}
  with pytest.raises(instruction_overlap.SplitError) as raised:
    instruction_overlap.check(sets)
  message = str(raised.value)
  assert "3 of 4 records of 'test' are in 'pool', too: 2 whole, 1" in message
  assert "test.jsonl, row 1 is pool.jsonl, row 3 ('say 3!')" in message
  assert "gin/runs/split.gin" in message
  _write(test, shared[:1])
  instruction_overlap.check({**sets, "test": _instructions(test)})


def test_targets_need_a_pool_of_several_tasks(files, tmp_path):
  rows = [row for row in ROWS if "kind" not in row]
  with pytest.raises(instruction_overlap.SplitError, match="TASK_FIELD"):
    _shares(_write(files, rows)).make(tmp_path / "sets")
  without = {"pool": 0.8, "test": 0.2}
  _shares(files, shares=without).make(tmp_path / "without")


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"shares": {"pool": 1.0}}, "two sets"),
    ({"shares": {"pool": 0.8, "test": 0.1}}, "sum to 1"),
    ({"shares": {"pool": 0.8, "../test": 0.2}}, "lower-case"),
    (
      {"group_field": "output", "shares": {"pool": 0.999, "test": 0.001}},
      "left",
    ),
  ],
)
def test_shares_that_cannot_be(files, tmp_path, changes, message):
  with pytest.raises(instruction_overlap.SplitError, match=message):
    _shares(files, **changes).make(tmp_path / "sets")


@pytest.mark.parametrize(
  ("one", "other", "same"),
  [
    ("Add 2, and 3!", "add 2 and 3", True),
    ("add 2 and 3", "add 2 and 4", False),
    ("Straße", "STRASSE", True),
    ("?!", "?", False),
    ("名前は。", "名前は", True),
  ],
)
def test_prompts_that_are_the_same(one, other, same):
  normalized = instruction_overlap.normalized
  assert (normalized(one) == normalized(other)) is same


def test_the_verb_makes_and_checks(files, tmp_path, capsys):
  words = [f"--gin.FILES={files}", f"--gin.OUTPUT={tmp_path}/sets"]
  fields = ["--gin.TASK_FIELD=kind"]
  assert main.main(["split", *words, *fields]) == 0
  said = capsys.readouterr().out
  assert "the prompts of 30" in said and "40 records have an empty" in said
  names = ["check_splits", "check_targets", "check_known"]
  check = [f"--gin_file=gin/runs/{name}.gin" for name in names]
  known = _write(tmp_path / "known.jsonl", [{**ROWS[0], "instruction": "1"}])
  check += [f"--gin.KNOWN={known}", *fields]
  targets = f"--gin.TARGETS={tmp_path}/sets/targets.jsonl"
  test = f"--gin.TEST={tmp_path}/sets/test.jsonl"
  pool = f"--gin.POOL={tmp_path}/sets/pool.jsonl"
  assert main.main(["split", *check, targets, pool, test]) == 0
  said = capsys.readouterr().out
  assert "no two sets" in said and "targets, 1 known, " in said
  for overlap, message in (
    ([targets, pool, f"--gin.TEST={files}"], "'test' are in 'pool'"),
    ([f"--gin.TARGETS={known}", pool, test], "'known' are in 'targets'"),
    ([targets, f"--gin.POOL={known}", test], "'known' are in 'pool'"),
  ):
    assert main.main(["split", *check, *overlap]) == 2
    assert message in capsys.readouterr().err


def test_real_questions_stay_with_their_article(shared, tmp_path):
  pattern = str(shared / "data/instruct/squad_xquad_en.jsonl.gz")
  made = instruction_splits.Shares(
    files=_instructions(pattern, task_field="title"),
    shares=SHARES,
    group_field="title",
    seed=0,
  ).make(tmp_path / "sets")
  assert made.summary["records"] == 694
  sets = _read(tmp_path / "sets")
  titles = [{row["title"] for row in rows} for rows in sets.values()]
  assert sum(map(len, titles)) == len(set.union(*titles)) > 10
