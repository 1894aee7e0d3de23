# SPDX-License-Identifier: Apache-2.0
"""Instructions in files through `score` and `select`, without splits."""

import json

import pytest

from data_efficient import main
from data_efficient.data import selections
from tests import decoders

COLOURS = ("red", "blue", "green", "white", "black")
ROWS = [
  {"instruction": f"Say {colour} and {n}.", "output": f"{colour} {n}" * n}
  for n in (1, 2, 3)
  for colour in COLOURS
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
  directory = tmp_path_factory.mktemp("pool")
  lines = [json.dumps(row) + "\n" for row in ROWS]
  (directory / "a.jsonl").write_text("".join(lines[:9]))
  (directory / "b.jsonl").write_text("".join(lines[9:]))
  decoders.save(directory / "judge")
  run(
    directory,
    "score",
    [*SCORED, "gin/scorers/token_counts.gin"],
    OUTPUT=directory / "counts",
  )
  return directory


CORPUS = ("gin/data/instruction_pool.gin", "gin/data/vocabulary_file.gin")
SCORED = ("gin/runs/score.gin", *CORPUS)


def run(directory, verb, files, **bindings):
  known = {
    "POOL": f"{directory}/*.jsonl",
    "PREPARED": directory / "prepared",
    "VOCABULARY_FILE": directory / "judge/tokenizer.json",
  }
  if verb == "score":
    known["SCORED_SPLITS"] = None
  if verb == "select":
    known.pop("VOCABULARY_FILE")
  words = [f"--gin_file={each}" for each in files]
  words += [f"--gin.{k}={v}" for k, v in (known | bindings).items()]
  assert main.main([verb, "--debug", *words]) == 0


def select(place, files, name, **bindings):
  run(
    place,
    "select",
    [*files[:1], CORPUS[0], *files[1:]],
    **{"OUTPUT": place / name, "KEEP_FRACTION": 0.4, **bindings},
  )
  return selections.Selection.open(place / name)


def test_random_and_full(place):
  counts = {"TOKEN_COUNTS": place / "counts"}
  for sampler, fraction in (("random", 0.4), ("full", 1.0)):
    files = ("gin/runs/select.gin", f"gin/selectors/{sampler}.gin")
    found = select(
      place, files, sampler, **counts, SAMPLER=sampler, KEEP_FRACTION=fraction
    )
    tokens = sum(len(r["instruction"]) + 2 + len(r["output"]) for r in ROWS)
    assert found.summary["tokens"] == tokens
    # The last record may cross the budget's end.
    kept = found.summary["kept_tokens"]
    assert fraction * tokens <= kept <= min(fraction + 0.1, 1.0) * tokens


def test_a_score_of_each_record(place):
  run(
    place,
    "score",
    [*SCORED, "gin/scorers/length.gin"],
    OUTPUT=place / "lengths",
  )
  found = select(
    place,
    ("gin/runs/select.gin", "gin/selectors/length.gin"),
    "longest",
    TOKEN_COUNTS=place / "counts",
    SCORES=place / "lengths",
  )
  # The longest answers are those of the last file.
  assert found.kept["a.jsonl"] == 0
  assert found.kept["b.jsonl"] > 0


def test_embeddings_in_the_place_of_utilities(place):
  run(
    place,
    "score",
    [*SCORED, "gin/scorers/latent_semantic.gin"],
    **{"OUTPUT": place / "vectors", "LatentSemantic.dimensions": 4},
  )
  found = select(
    place,
    ("gin/runs/select_embeddings.gin", "gin/selectors/delift_se.gin"),
    "cover",
    EMBEDDINGS=place / "vectors",
    NEIGHBOURS=5,
  )
  assert found.records == 6
