# SPDX-License-Identifier: Apache-2.0
"""The verb `suite`; a network is trained and asked in tests/parity."""

import dataclasses
import json
import random
import shutil

import jax
import pytest

from data_efficient import gin_config
from data_efficient.cli import suite, suite_asking
from data_efficient.data import artifacts, downstream
from data_efficient.evaluation import suites as tables
from data_efficient.models import checkpoints, networks
from data_efficient.training import inference
from tests import networks as small
from tests.data import served


def _rows(count):
  chooser = random.Random(0)
  for number in range(count):
    letter = chooser.choice("AB")
    word = "rot" if letter == "A" else "blau"
    yield {
      "id": str(number),
      "instruction": f"{word} {number}",
      "input": "A. x\nB. y",
      "output": letter,
    }


def _suites(path, **changes):
  settings = {"pattern": str(path), "shots": 2, **changes}
  return [
    downstream.Suite(
      **{"name": "choice", "category": "QA", "layout": "options"},
      **{"how": "likelihood", "metrics": (), **settings},
    ),
    downstream.Suite(
      **{"name": "open", "category": "BBH", "layout": "open"},
      **{"how": "generation", "metrics": ("option_match",), **settings},
    ),
  ]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
  return served.train_vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module")
def asked(vocabulary, tmp_path_factory):
  """What `suite.suite` needs, with two checkpoints."""
  root = tmp_path_factory.mktemp("suite")
  path = root / "rows.jsonl"
  path.write_text("".join(json.dumps(row) + "\n" for row in _rows(160)))
  network = small.t5(vocab_size=512)
  for name in ("first", "second"):
    parameters = networks.init_parameters(network, jax.random.key(len(name)))
    checkpoints.save_parameters(root / name, parameters)
  return {
    **{"suites": _suites(path), "network": network, "vocabulary": vocabulary},
    **{"checkpoints": [str(root / "first"), str(root / "second")]},
    **{"engine": _First(), "batch_size": 32},
    **{"task_feature_lengths": {"inputs": 64, "targets": 8}},
    **{"chosen_on": "validation", "reported_on": "test"},
    **{"resamples": 100, "seed": 0},
  }


@pytest.fixture(autouse=True)
def no_gin():
  gin_config.parse([])


class _First:
  """Likes the first choice most; its predictions have eight tokens."""

  def __init__(self, token=1):
    self.token = token

  def infer(self, asked):
    import seqio

    task = seqio.get_mixture_or_task(asked.task)
    dataset = task.source.get_dataset("train", shuffle=False)
    lines = [
      json.dumps(
        {
          **{name: int(row[name]) for name in asked.columns},
          **{"score": -float(row["choice"]), "prediction": "A"},
          "prediction_tokens": [self.token] * 8,
        }
      )
      for row in dataset.as_numpy_iterator()
    ]
    inference.keep(asked, "\n".join(lines).encode())


def test_truncated_and_too_long_prompts_are_counted(asked, tmp_path):
  changes = {"engine": _First(), "checkpoints": asked["checkpoints"][:1]}
  for inputs, truncated, too_long in ((4000, False, False), (4, True, True)):
    lengths = {"inputs": inputs, "targets": 8}
    directory = tmp_path / str(inputs)
    suite.suite(
      directory=str(directory),
      **asked | changes | {"task_feature_lengths": lengths},
    )
    found = json.loads((directory / suite.FILE).read_text())
    assert found["chosen_on"] is None
    row = found["results"]["tasks"]["choice"]["choice"]
    assert row["shots"] == 2
    assert row["truncated"] == truncated * row["questions"]
    assert row["too_long"] == too_long * row["questions"]
    # Half of the answers are A; what could not be asked is wrong.
    value = row["accuracy"]["value"]
    assert value == 0 if too_long else 0.3 < value < 0.7


class _Reads:
  """Scores the letter that the last word of a prompt calls for the highest."""

  def infer(self, asked):
    import seqio

    task = seqio.get_mixture_or_task(asked.task)
    decode = task.output_features["inputs"].vocabulary.decode
    lines = []
    for row in task.source.get_dataset("train").as_numpy_iterator():
      text = decode(row["inputs"].tolist())
      right = int(text.rindex("blau") > text.rindex("rot"))
      columns = {name: int(row[name]) for name in asked.columns}
      score = -1.0 - abs(columns["choice"] - right)
      lines.append(json.dumps({**columns, "score": score}))
    inference.keep(asked, "\n".join(lines).encode())


def test_the_likeliest_choice_answers(asked, tmp_path):
  few = {"engine": _Reads(), "checkpoints": asked["checkpoints"][:1]}
  few["suites"] = [dataclasses.replace(asked["suites"][0], shots=4)]
  few["task_feature_lengths"] = {"inputs": 4000, "targets": 8}
  found = _report(tmp_path, asked, **few)["results"]["tasks"]["choice"]
  assert found["choice"]["accuracy"]["value"] == 1
  assert found["choice"]["questions"] > 10


def _report(directory, asked, **changes):
  suite.suite(directory=str(directory), **asked | changes)
  return json.loads((directory / suite.FILE).read_text())


def test_answers_without_an_end_are_counted(asked, tmp_path):
  # Eight tokens are all that there is room for; 1 is the end of a sequence.
  for token, cut in ((5, True), (1, False)):
    changes = {"engine": _First(token), "checkpoints": asked["checkpoints"][:1]}
    found = _report(tmp_path / str(token), asked, **changes)
    row = found["results"]["tasks"]["open"]["open"]
    assert row["cut"] == cut * row["questions"]
    assert found["results"]["tasks"]["choice"]["choice"]["cut"] == 0


class _Switched:
  """Knows all answers of one split and none of the other, by checkpoint."""

  def __init__(self, right):
    self.right, self.asked = right, []

  def infer(self, wanted):
    import seqio

    split = "validation" if "_validation_" in wanted.directory else "test"
    self.asked.append((wanted.checkpoint, split))
    task = seqio.get_mixture_or_task(wanted.task)
    lines = []
    for row in task.source.get_dataset("train", shuffle=False):
      text = task.output_features["targets"].vocabulary.decode(
        [int(token) for token in row["targets"] if token > 1]
      )
      knows = self.right[wanted.checkpoint] == split
      found = {name: int(row[name]) for name in wanted.columns}
      found |= {"prediction": text if knows else "?", "prediction_tokens": [1]}
      lines.append(json.dumps(found))
    inference.keep(wanted, "\n".join(lines).encode())


def test_another_checkpoint_at_the_same_path_is_asked_anew(
  asked, tmp_path, capsys
):
  path = tmp_path / "run"
  shutil.copytree(asked["checkpoints"][0], path)
  engine = _Switched({str(path): "test"})
  few = {"engine": engine, "suites": asked["suites"][1:]}
  few["checkpoints"] = [str(path)]
  found = _report(tmp_path / "found", asked, **few)
  before = suite_asking.identity(str(path))
  assert found["checkpoints"] == {str(path): before}
  # One bit is other, in a file of the same name.
  files = [each for each in path.rglob("*") if each.is_file()]
  file = max(files, key=lambda each: each.stat().st_size)
  data = file.read_bytes()
  file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
  with pytest.raises(artifacts.ArtifactError, match="has changed since"):
    _report(tmp_path / "found", asked, **few)
  # Interrupted before the report was written: no old answer is taken.
  (tmp_path / "found" / suite.FILE).unlink()
  found = _report(tmp_path / "found", asked, **few)
  assert found["checkpoints"] == {str(path): suite_asking.identity(str(path))}
  assert found["checkpoints"] != {str(path): before}
  assert len(engine.asked) == 2
  shutil.rmtree(path)
  _report(tmp_path / "found", asked, **few)
  assert "done before" in capsys.readouterr().out


def test_a_checkpoint_is_never_chosen_on_what_is_reported(asked, tmp_path):
  first, second = asked["checkpoints"]
  engine = _Switched({first: "validation", second: "test"})
  changes = {"engine": engine, "suites": asked["suites"][1:]}
  found = _report(tmp_path, asked, **changes)
  # The second is the best on what is reported, and is not taken.
  assert found["checkpoint"] == first
  assert (found["chosen_on"], found["reported_on"]) == ("validation", "test")
  assert [row["value"] for row in found["validation"].values()] == [1, 0]
  assert found["results"]["averages"]["open"]["value"] == 0
  assert engine.asked == [
    *((first, "validation"), (second, "validation"), (first, "test"))
  ]


def test_the_paper_s_average_chooses_where_all_of_it_is_asked():
  row = {"average": {"value": 0.2}, "of_all": {"value": 0.9}, "missing": []}
  other = {"average": {"value": 0.3}, "of_all": {"value": 0.1}, "missing": []}
  assert suite._choice({"a": row, "b": other}) == ("b", "average")
  on = {"a": {**row, "missing": ["QA"]}, "b": {**other, "missing": ["QA"]}}
  assert suite._choice(on) == ("a", "of_all")


def test_what_cannot_be_asked_is_refused(asked, tmp_path):
  for changes, message in (
    ({"task_feature_lengths": {"inputs": 64, "targets": 1}}, "raise TARGETS"),
    ({"chosen_on": "test"}, "chosen on 'test', which is reported"),
    ({"checkpoints": []}, "checkpoints are"),
    ({"suites": asked["suites"] * 2}, "each once"),
    (
      {"suites": [dataclasses.replace(asked["suites"][1], metrics=("x",))]},
      "metrics are",
    ),
  ):
    with pytest.raises(tables.SuiteError, match=message):
      suite.suite(directory=str(tmp_path), **asked | changes)


def test_the_gin_file_names_every_suite():
  files = ["gin/runs/suite.gin", "gin/data/vocabulary_file.gin"]
  files += ["gin/models/t5_1_1_small.gin", "gin/engines/local.gin"]
  names = ("MMLU", "BBH", "GSM8K", "SQUAD", "CHOICE")
  bindings = [f"{name}_FILES=x" for name in names]
  bindings += ["OUTPUT=out", "CHECKPOINTS=['a', 'b']", "VOCABULARY_FILE=x"]
  gin_config.parse(files, bindings)
  text = gin_config.resolved()
  for name in names:
    assert f"%{name}_FILES" in text
  assert "chosen_on = 'validation'" in text


@pytest.mark.parametrize(
  ("run_file", "names", "bindings"),
  [
    ("suite_few_shot", ["MMLU", "BBH", "SVAMP", "ASDIV", "STRATEGY_QA"], []),
    ("suite_glue", [], ["TFDS_DIRECTORY=x"]),
    ("suite_super_glue", [], []),
    ("suite_cnn_dailymail", [], []),
    ("suite_squad", [], []),
  ],
)
def test_the_gin_files_of_other_suites_parse(run_file, names, bindings):
  files = [f"gin/runs/{run_file}.gin", "gin/data/vocabulary_file.gin"]
  files += ["gin/models/t5_1_1_small.gin", "gin/engines/local.gin"]
  bindings = [*bindings, *(f"{name}_FILES=x" for name in names)]
  bindings += ["OUTPUT=out", "CHECKPOINTS=['a', 'b']", "VOCABULARY_FILE=x"]
  gin_config.parse(files, bindings)
  assert "reported_on = 'test'" in gin_config.resolved()


@pytest.mark.parametrize(
  "tasks", ["flan", "glue", "super_glue", "cnn_dailymail", "squad"]
)
def test_the_gin_files_of_tuning_parse(tasks):
  files = ["gin/runs/tune.gin", f"gin/data/{tasks}.gin"]
  files += ["gin/runs/finetune.gin", "gin/data/vocabulary_file.gin"]
  files += ["gin/models/t5_1_1_small.gin", "gin/engines/local.gin"]
  bindings = ["OUTPUT=out", "INITIAL_CHECKPOINT=x", "VOCABULARY_FILE=x"]
  gin_config.parse(files, bindings)
  assert "constant.learning_rate = 0.001" in gin_config.resolved()


def test_decoders_are_asked_in_one_row_with_their_own_tokenizer(tmp_path):
  import numpy as np
  import seqio

  from data_efficient.data import downstream_tasks, few_shot
  from data_efficient.models import tokenizer_files
  from data_efficient.training import batches
  from tests import decoders

  decoders.tokenizer().save(str(tmp_path / "tokenizer.json"))
  tokenizer = tokenizer_files.read(str(tmp_path))
  lengths = {"inputs": 64, "targets": 8}
  asking = suite_asking.Network(
    **{"directory": tmp_path, "network": small.llama(vocab_size=96)},
    **{"vocabulary": tokenizer, "engine": None, "lengths": lengths},
    batch_size=2,
  )
  # The answer, and what begins the row, take from the prompt's room.
  assert asking.window == 64 - 8 - 1 and asking.begin_ids == (0,)
  question = few_shot.Question("1", "t", "Add 2: ", "4", "4", (), "g")
  ids = tuple(tokenizer.encode(question.text))
  task = downstream_tasks.register(
    [few_shot.Prompt(question, ids, 0, 0)],
    vocabulary=tokenizer,
    choices=False,
    begin_ids=asking.begin_ids,
  )
  dataset = seqio.get_mixture_or_task(task).get_dataset(
    sequence_length=lengths, split="train", shuffle=False
  )
  convert = batches.converter(asking.network, task)
  (row,) = convert(dataset, lengths).as_numpy_iterator()
  read = row["decoder_input_tokens"]
  answer = tokenizer.encode("4")
  assert read[read >= 0].tolist() == [0, *ids, *answer]
  (example,) = dataset.as_numpy_iterator()
  asked = inference.Inference(
    **{"directory": str(tmp_path), "network": asking.network, "task": task},
    **{"checkpoint": "", "task_feature_lengths": lengths, "batch_size": 2},
    mode=inference.Mode.PREDICT,
  )
  said = np.array([*tokenizer.encode("four"), 1, -1])
  (line,) = inference.rows(asked, [example], [said])
  found = json.loads(line)
  assert found["inputs"] == "Add 2: " and found["prediction"] == "four"
  assert found["prediction_tokens"][-1] == tokenizer.eos_id
