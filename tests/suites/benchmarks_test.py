# SPDX-License-Identifier: Apache-2.0
"""The verb `suite` on T5's benchmarks, with made-up records."""

import json

import jax
import pytest
import seqio

from data_efficient.cli import suite
from data_efficient.data import benchmarks, t5_tasks
from data_efficient.evaluation import suites as tables
from data_efficient.models import checkpoints, networks
from data_efficient.training import inference
from tests import networks as small
from tests.suites import declared

pytest.importorskip(
  "t5.data.mixtures", reason="t5 is not installed: run `make suites`"
)
FILES = {name: f"gin/runs/suite_{name}.gin" for name in ("glue", "squad")}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
  """Two checkpoints of a small network, which no test runs."""
  root = tmp_path_factory.mktemp("checkpoints")
  network = small.t5(vocab_size=512)
  for number in range(2):
    parameters = networks.init_parameters(network, jax.random.key(number))
    checkpoints.save_parameters(root / str(number), parameters)
  return network, [str(root / str(number)) for number in range(2)]


class _Knows:
  """Answers right on one slice of TFDS, by checkpoint; else nothing."""

  def __init__(self, right):
    self.right, self.asked = right, []

  def infer(self, wanted):
    task = seqio.TaskRegistry.get(wanted.task)
    read = task.source.tfds_dataset._split_map["train"]
    self.asked.append((wanted.checkpoint, read))
    lines = []
    for example in task.get_dataset(None, split="train", shuffle=False):
      text = example["targets_pretokenized"].numpy().decode()
      text = text if self.right[wanted.checkpoint] == read else ""
      row = {"prediction": text, "prediction_tokens": [1]}
      lines.append(json.dumps(row))
    inference.keep(wanted, "\n".join(lines).encode())


def _report(directory, vocabulary, engine, network, names, suites, *, window):
  suite.suite(
    **{"directory": str(directory), "suites": suites, "checkpoints": names},
    **{"network": network, "vocabulary": vocabulary, "engine": engine},
    **{
      "task_feature_lengths": {"inputs": window, "targets": 16},
      "batch_size": 8,
    },
    **{"chosen_on": "validation", "reported_on": "test"},
    **{"resamples": 20, "seed": 0},
  )
  return json.loads((directory / suite.FILE).read_text())


@pytest.mark.parametrize("name", FILES)
def test_a_slice_of_the_training_set_chooses(
  name, vocabulary, mocked, two, tmp_path
):
  suites = declared.suites(FILES[name], vocabulary)
  network, (first, second) = two
  with mocked():
    # The second would be the best on what is reported.
    engine = _Knows({first: "train[95%:]", second: "validation"})
    found = _report(
      *(tmp_path, vocabulary, engine, network, [first, second], suites),
      window=100_000,
    )
  [benchmark] = suites
  assert found["checkpoint"] == first
  assert found["validation"][first]["value"] == pytest.approx(1)
  assert found["validation"][second]["value"] < 0.4
  assert found["results"]["averages"][benchmark.name]["value"] < 0.4
  reported = [asked for asked in engine.asked if asked[1] == "validation"]
  assert reported and {checkpoint for checkpoint, _ in reported} == {first}
  rows = found["results"]["tasks"][benchmark.name]
  assert set(rows) == {n for row in benchmark.tasks.values() for n in row}
  assert all(row["truncated"] == 0 for row in rows.values())


@pytest.mark.parametrize("name", ["glue", "super_glue"])
def test_right_answers_are_worth_one(name, vocabulary, mocked, two, tmp_path):
  [benchmark] = declared.suites(f"gin/runs/suite_{name}.gin", vocabulary)
  rows = benchmark.tasks
  benchmark = benchmarks.Benchmark(
    **{"name": benchmark.name, "category": "x", "tasks": rows},
    **{"chosen_by": rows, "splits": benchmark.splits},
  )
  network, (first, _) = two
  with mocked():
    engine = _Knows({first: "validation"})
    # The engine reads no prompt; of each all but a token would be cut.
    found = _report(
      *(tmp_path, vocabulary, engine, network, [first], [benchmark]), window=1
    )
  results = found["results"]
  assert results["averages"][benchmark.name]["value"] == pytest.approx(1)
  tasks = results["tasks"][benchmark.name]
  assert len(tasks) == sum(len(row) for row in rows.values())
  for row in tasks.values():
    assert row["questions"] >= 8 and row["cut"] == 0
    assert row["truncated"] == row["questions"]


class _Says:
  """Answers WSC with these texts, in their order; all else with nothing."""

  def __init__(self, texts):
    self.texts, self.asked = texts, []

  def infer(self, wanted):
    task = seqio.TaskRegistry.get(wanted.task)
    read = task.source.tfds_dataset._split_map["train"]
    count = len(list(task.get_dataset(None, split="train", shuffle=False)))
    texts = self.texts if "_wsc_" in wanted.task else [""] * count
    self.asked.append((wanted.task, read))
    rows = [{"prediction": text, "prediction_tokens": [1]} for text in texts]
    inference.keep(wanted, "\n".join(map(json.dumps, rows)).encode())


def test_wsc_is_reported_by_its_referents_and_does_not_choose(
  vocabulary, mocked, two, tmp_path
):
  suites = declared.suites("gin/runs/suite_super_glue.gin", vocabulary)
  network, names = two
  # The referent is Mark, or is not, in turns. Nothing is never right.
  engine = _Says(["Mark", "mark", "the Mark", "Pete", "Pete", "Pete", "", ""])
  with mocked(wsc_labels=(1, 0)):
    found = _report(
      *(tmp_path, vocabulary, engine, network, names, suites), window=512
    )
  tasks = found["results"]["tasks"]["SuperGLUE"]
  row = tasks["super_glue_wsc_v102_simple_eval"]
  # Right: 1 Mark, 0 mark (no), 1 the Mark, 0 Pete, 1 Pete (no), 0 Pete.
  assert row["accuracy"]["value"] == pytest.approx(4 / 8)
  assert row["questions"] == 8
  splits = {read for task, read in engine.asked if "_wsc_" in task}
  assert splits == {"validation"}
  means = [_mean(each) for each in tasks.values()]
  whole = found["results"]["averages"]["SuperGLUE"]["value"]
  assert len(means) == 8 and whole == pytest.approx(sum(means) / 8)


def _mean(row):
  """Of a task's metrics, which are those with an interval."""
  values = [each["value"] for each in row.values() if isinstance(each, dict)]
  return sum(values) / len(values)


def test_what_is_no_benchmark_is_refused(vocabulary):
  good = {
    **{"name": "x", "category": "x", "tasks": {"a": ["b"]}},
    **{"chosen_by": {"a": ["b"]}},
    "splits": {"validation": "train", "test": "test"},
  }
  for changes, message in (
    ({"splits": {"test": "test"}}, "expected one each for"),
    ({"splits": {"validation": "x", "test": "x"}}, "would choose and be"),
    ({"tasks": {}}, "expected row -> list"),
    ({"tasks": {"a": "b"}}, "expected row -> list"),
  ):
    with pytest.raises(benchmarks.BenchmarkError, match=message):
      benchmarks.Benchmark(**good | changes)
  with pytest.raises(t5_tasks.T5TasksError, match="trained on and watched"):
    t5_tasks.T5Mixture(
      **{"mixture": "x", "trained_on": "train", "watched_on": "train"},
      watched={},
    )
  ours = {"split": "train", "vocabulary": vocabulary, "data_dir": ""}
  with pytest.raises(t5_tasks.T5TasksError, match="no 'glue_x'; of that kind"):
    t5_tasks.task("glue_x", **ours)
  with pytest.raises(t5_tasks.T5TasksError, match="no 'super_x'; of that"):
    t5_tasks.mixture("super_x", **ours)


def test_other_counts_and_metrics_are_refused(
  vocabulary, mocked, two, tmp_path
):
  with mocked():
    task = t5_tasks.task(
      "glue_rte_v002", split="train", vocabulary=vocabulary, data_dir=""
    )
    for decoded in ([""] * 7, [""] * 9):
      with pytest.raises(t5_tasks.T5TasksError, match="not as many examples"):
        t5_tasks.answers(task, decoded, window=64)
    rows = {"a": ["glue_rte_v002"]}
    benchmark = benchmarks.Benchmark(
      **{"name": "x", "category": "x", "tasks": rows, "chosen_by": rows},
      **{"splits": {"validation": "train", "test": "test"}},
      averaged=["rouge2"],
    )
    network, names = two
    engine = _Knows(dict.fromkeys(names, "test"))
    with pytest.raises(tables.SuiteError, match=r"\['rouge2'\] are to be"):
      _report(
        tmp_path, vocabulary, engine, network, names[:1], [benchmark], window=64
      )
