# SPDX-License-Identifier: Apache-2.0
"""Figures of a comparison of instructions against those worked by hand."""

import json
import math

import numpy as np
import pytest

from data_efficient.evaluation.run_fields import EvaluationError
from data_efficient.evaluation.tuning import (
  helpers,
  kept,
  outcomes,
  results,
  rows,
  selected,
)
from tests.evaluation import tuned

# Student's t, 0.975, two degrees of freedom.
T2 = 4.302652729911275
KEY = kept.Key("delift", 0.4, 0)
# Runs that are finished and cannot be compared.
OTHERS = ("other_base", "other_batch")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
  return tuned.small(tmp_path_factory.mktemp("tuned"))


@pytest.fixture(scope="module")
def table(experiment):
  found = outcomes.read(experiment.root, None)
  made = rows.rows(found.outcomes, found.kept)
  return {(row["use"], row["method"]): row for row in made}


def test_means_and_intervals_are_those_of_the_seeds(table):
  found = table["tuned", "delift"]["metrics"]["loss"]
  assert found["mean"] == pytest.approx(2.3) and found["n"] == 3
  assert found["std"] == pytest.approx(0.1)
  half = T2 * 0.1 / math.sqrt(3)
  assert found["interval"] == pytest.approx([2.3 - half, 2.3 + half])
  watched = table["tuned", "delift"]["metrics"]["watched_loss"]
  assert watched["mean"] == pytest.approx(2.31)


def test_differences_are_paired_by_seed(table):
  found = table["tuned", "delift"]["against_random"]["loss"]
  # -0.2, -0.1, -0.3
  half = T2 * 0.1 / math.sqrt(3)
  assert found["mean"] == pytest.approx(-0.2) and found["seeds"] == [0, 1, 2]
  assert found["interval"] == pytest.approx([-0.2 - half, -0.2 + half])
  assert found["verdict"] == "undecided"
  full = table["tuned", "delift"]["against_full"]["watched_loss"]
  assert full["mean"] == pytest.approx(0.3) and full["verdict"] == "worse"
  assert table["tuned", "random"]["against_random"] == {}
  assert table["tuned", "full"]["against_full"] == {}


def test_a_higher_accuracy_is_better(table):
  found = table["tuned", "delift"]["against_full"]["exact"]
  assert found["mean"] == pytest.approx(1 / 2.3 - 1 / 2.0)
  assert found["verdict"] == "worse" and found["interval"][1] < 0
  full = table["tuned", "full"]["against_random"]
  assert full == {}  # none at its budget


def test_an_interval_of_a_metric_where_higher_is_better():
  ours, theirs = (
    {
      seed: outcomes.Outcome("tuned", KEY, str(seed), {"exact": value}, {})
      for seed, value in enumerate(values)
    }
    for values in ((0.5, 0.7, 0.6), (0.1, 0.2, 0.3))
  )
  half = T2 * 0.1 / math.sqrt(3)
  found = rows.difference(ours, theirs, "exact")
  assert found["mean"] == pytest.approx(0.4) and found["verdict"] == "better"
  assert found["interval"] == pytest.approx([0.4 - half, 0.4 + half])
  back = rows.difference(theirs, ours, "exact")
  assert back["mean"] == pytest.approx(-0.4) and back["verdict"] == "worse"
  assert back["interval"] == pytest.approx([-0.4 - half, -0.4 + half])


def test_equal_selections_in_context_are_one_measurement(table):
  delift = table["in_context", "delift"]["metrics"]["loss"]
  assert delift["n"] == 1 and delift["interval"] is None
  assert table["in_context", "random"]["metrics"]["loss"]["n"] == 3
  found = table["in_context", "delift"]["against_random"]["loss"]
  assert found["n"] == 3 and found["mean"] == pytest.approx(-0.2 - 0.1)
  one = table["in_context", "delift"]["against_full"]["loss"]
  assert one["n"] == 1 and one["verdict"] == "undecided"


def test_the_base_is_measured_before_anything_is_done(experiment):
  base = outcomes.read(experiment.root, None).base
  assert base == {
    **{"loss": 3.5, "exact": 0.125},
    **{"watched_loss": 3.0, "watched_accuracy": 0.5},
  }


def test_training_and_sizes(table):
  row = table["tuned", "delift"]
  assert (row["kept_records"], row["kept_tokens"]) == (4, 40)
  assert (row["training_seconds"], row["steps"], row["epochs"]) == (10, 4, 2)
  assert table["in_context", "delift"]["training_seconds"] is None


def _break(made):
  """Every way in which a directory can be wrong; name -> words."""
  root = made.root
  for name in ("unfinished", "damaged", "foreign", *OTHERS, "short"):
    made.select(name, 0.4, 0, (0, 1))
    made.run(f"{name}-0.4-0", 1.0)
  (root / "runs/unfinished-0.4-0/run.json").unlink()
  (root / "runs/damaged-0.4-0/metrics.jsonl").write_text("{")
  made.run("other_base-0.4-0", 1.0, base="another")
  made.run("other_batch-0.4-0", 1.0, batch_size=4)
  short = root / "runs/short-0.4-0/run.json"
  short.write_text(short.read_text().replace('"steps": 4', '"steps": 9'))
  made.run("nobody-0.4-0", 1.0)
  for seed in (7, 8):
    made.select("random", 0.4, 9, (1, 2), name=f"random-twice-{seed}")
  elsewhere = tuned.Experiment(
    root, corpus={**tuned.CORPUS, "fingerprint": "x"}
  )
  elsewhere.select("random", 0.4, 5, (0,))
  made.select("random", 0.4, 6, (0,), kind="fraction_of_tokens")
  made.respond("in_context", "short-0.4-0", test="another", loss=1.0, exact=0.0)
  (root / "responses/tuned/damaged-0.4-0").mkdir()
  return {
    "runs/unfinished-0.4-0": "no such file",
    "runs/damaged-0.4-0": "line 1: damaged",
    "selections/foreign-0.4-0": "'foreign', which is not compared",
    "runs/foreign-0.4-0": "its selection is not there",
    "runs/other_base-0.4-0": "from another base",
    "runs/other_batch-0.4-0": "or batch size",
    "runs/short-0.4-0": "ends at step 4 of 9",
    "runs/nobody-0.4-0": "its selection is not there",
    "selections/random-twice-7": "the same method, budget and seed",
    "selections/random-twice-8": "the same method, budget and seed",
    "selections/random-0.4-5": "of another pool",
    "selections/random-0.4-6": "a budget of another kind",
    "responses/in_context/short-0.4-0": "of another test set",
    "responses/tuned/damaged-0.4-0": "unfinished",
  }


def test_what_cannot_be_compared_is_named_and_left_out(tmp_path):
  made = tuned.small(tmp_path)
  before = outcomes.read(tmp_path, None)
  expected = _break(made)
  methods = ["full", "random", "delift"]
  methods += ["unfinished", "damaged", *OTHERS, "short"]
  found = outcomes.read(tmp_path, methods)
  assert found.outcomes == before.outcomes and found.base == before.base
  left = {
    str(entry.directory).removeprefix(f"{tmp_path}/"): entry.reason
    for entry in found.left_out
  }
  assert set(left) == set(expected)
  for place, words in expected.items():
    assert words in left[place], place


def test_full_data_stand_beside_budgets_of_any_kind(tmp_path):
  made = tuned.Experiment(tmp_path)
  for seed in range(2):
    made.select("full", 1.0, seed, range(10))
    made.select("random", 0.4, seed, (0, 1), kind="fraction_of_tokens")
    made.select("less", 0.4, seed, (2, 3), kind="fraction_of_tokens")
  left = []
  found = kept.read(tmp_path / "selections", None, left)
  assert len(found) == 6 and left == []


def test_a_seed_that_could_not_be_measured_is_not_dropped(tmp_path):
  made = tuned.small(tmp_path)
  made.select("length", 0.4, 0, (0, 1))
  made.respond("tuned", "length-0.4-0", loss=None, exact=0.5)
  made.run("length-0.4-0", 2.0)
  path = tmp_path / "responses/tuned/delift-0.4-1/responses.json"
  answers = json.loads(path.read_text())
  answers["overall"]["loss"]["value"] = None
  path.write_text(json.dumps(answers))
  found = outcomes.read(tmp_path, None)
  table = rows.rows(found.outcomes, found.kept)
  table = {(row["use"], row["method"]): row for row in table}
  row = table["tuned", "delift"]
  assert row["metrics"]["loss"] == {
    **{"mean": None, "std": None, "n": 3, "interval": None}
  }
  against = row["against_random"]["loss"]
  assert against["n"] == 3 and against["verdict"] == "undecided"
  assert against["mean"] is None and against["interval"] is None
  assert row["metrics"]["exact"]["n"] == 3
  assert row["metrics"]["exact"]["mean"] == pytest.approx(1 / 2.3)
  # A metric that no outcome has a value of is none.
  nobody = [e for e in found.outcomes if e.key.method == "length"]
  assert "loss" in rows.metrics(found.outcomes)
  assert rows.metrics(nobody) == ["watched_loss", "exact", "watched_accuracy"]


def test_nothing_to_compare_is_an_error(tmp_path):
  made = tuned.Experiment(tmp_path)
  made.select("random", 0.4, 0, (0,))
  with pytest.raises(EvaluationError, match="no finished run"):
    outcomes.read(tmp_path, None)


POOL = selected.Pool(
  starts={"a.jsonl": 0, "b.jsonl": 6},
  chosen_from=np.array([True] * 9 + [False]),
  tasks=["sum"] * 5 + ["spell"] * 5,
  tokens=np.arange(10.0),
  prompts=np.array([0, 0, 0, 1, 2, 3, 4, 5, 6, 0]),
)


def test_what_was_selected_is_counted(experiment):
  found = outcomes.read(experiment.root, None)
  chosen = {kept: selected.records(POOL, kept) for kept in found.kept}
  made = selected.describe(POOL, chosen)
  assert made["pool"]["records"] == 9 and made["pool"]["tokens"] == 36.0
  assert made["pool"]["duplicates"] == 2
  assert made["pool"]["tasks"] == pytest.approx({"sum": 5 / 9, "spell": 4 / 9})
  by = {row["method"]: row for row in made["rows"]}
  # 0, 1, 8, 9: tokens 18, prompts 0, 0, 6, 0.
  assert by["delift"]["tokens"] == 18 and by["delift"]["duplicates"] == 2
  assert by["delift"]["median_tokens"] == 4.5
  assert by["delift"]["tasks"] == {"sum": 0.5, "spell": 0.5}
  # 0 to 3, 1 to 4, 2 to 5: duplicates 2, 1, 0; of sums 4, 4, 3.
  assert by["random"]["duplicates"] == 1
  assert by["random"]["tasks"]["sum"] == pytest.approx(11 / 12)
  (overlap,) = made["overlap"]
  assert overlap["methods"] == ["random", "delift"]
  # With 0, 1, 8, 9: 2/6, 1/7, 0/8; of Random's seeds 3/5, 2/6, 3/5.
  first, second = overlap["jaccard"]
  assert first[1] == second[0] == pytest.approx((2 / 6 + 1 / 7) / 3)
  assert first[0] == pytest.approx((3 / 5 + 2 / 6 + 3 / 5) / 3)
  assert second[1] == 1.0


def test_overlap_of_sets():
  one, other = np.array([1, 2, 3]), np.array([3, 4])
  assert selected.jaccard(one, other) == 0.25
  assert selected.jaccard(one, one) == 1.0
  assert selected.jaccard(other, np.array([9])) == 0.0


def test_a_cost_is_the_sum_of_its_parts_or_not_known(experiment):
  made = _results(experiment)
  assert made["cost"]["delift"] == {
    **{"stages": {"sample": 2.0, "utility": 30.0}, "selecting": 1.0},
    "total": 33.0,
  }
  assert made["cost"]["random"]["total"] == 1.0
  assert made["cost"]["less"]["total"] is None
  json.dumps(made, allow_nan=False)
  assert made["main"] == "loss" and made["metrics"]["exact"] == "higher"


def _results(experiment):
  found = outcomes.read(experiment.root, None)
  chosen = {kept: selected.records(POOL, kept) for kept in found.kept}
  return results.assemble(
    found,
    stages={
      **{"full": {}, "random": {}, "less": {"warm_up": None}},
      "delift": {"sample": 2.0, "utility": 30.0},
    },
    selecting={"full": 1.0, "random": 1.0, "delift": 1.0, "less": 1.0},
    selected=selected.describe(POOL, chosen),
    same_task=None,
    helped=[
      {
        "target": {
          **{"task": "sum", "prompt": "1 + 1?", "response": "2"},
          "chosen_by": ["delift"],
        },
        "by": [
          {
            **{"task": "sum", "prompt": "<b>2 + 2?", "response": "4"},
            **{"chosen_by": [], "utility": 0.125},
          },
          {"utility": -0.5},
        ],
      }
    ],
    facts={"batch_size": 2, "initial_checkpoint": "llama"},
    command="make",
    commit="abc",
  )


def test_targets_are_shown_from_the_most_helped_to_the_least():
  found = [helpers.Helped(n, [0], [float(n)]) for n in range(10)]
  found.append(helpers.Helped(10, [], []))
  shown = helpers.shown(found, count=4)
  assert [each.target for each in shown] == [9, 6, 3, 0]
  assert len(helpers.shown(found, count=50)) == 10
