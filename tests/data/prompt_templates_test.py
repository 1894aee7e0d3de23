# SPDX-License-Identifier: Apache-2.0
"""Datasets with prompt templates: to be tuned on, and to be asked."""

import collections

import pytest
import seqio
import tensorflow as tf

from data_efficient.data import (
  downstream,
  few_shot,
  instruction_tasks,
  prompt_templates,
  tfds_questions,
)
from data_efficient.data.few_shot import Split

RECORDS = {
  "train": [
    {"q": {"stem": b"two"}, "at": 1, "many": [b"x", b"y"]},
    {"q": {"stem": b"three"}, "at": -1, "many": [b"x", b"y"]},
    {"q": {"stem": b"one"}, "at": 0, "many": [b"x", b"y"]},
  ],
  "test": [{"q": {"stem": b"one"}, "at": 0, "many": [b"x", b"y"]}],
}


def test_templates_have_features_and_nothing_else():
  assert list(prompt_templates.parts("a {q/stem}\n{label-coarse}")) == [
    *(("a ", False), ("q/stem", True), ("\n", False), ("label-coarse", True))
  ]
  for template in ("{", "a {b c}", "{x.y}", "{{x}}", "{}"):
    with pytest.raises(
      prompt_templates.TemplateError, match="has a brace of no"
    ):
      list(prompt_templates.parts(template))


def _questions(**changes):
  settings = {
    **{"datasets": {"t": "d:1.0.0"}, "splits": {"test": "test"}},
    **{"instruction": "{q/stem}?", "options": "many", "answer": "at"},
  }
  return tfds_questions.TfdsQuestions(**settings | changes)


@pytest.fixture
def records(monkeypatch):
  monkeypatch.setattr(
    tfds_questions.TfdsQuestions,
    "_records",
    lambda self, name, split: iter(RECORDS[split]),
  )


def _suite(dataset, **changes):
  settings = {
    **{"name": "s", "category": "c", "layout": "options", "metrics": ()},
    **{"how": "likelihood", "shots": 0, "dataset": dataset},
  }
  return downstream.Suite(**settings | changes)


def test_records_of_tfds_become_questions(records):
  splits = {"validation": "train", "test": "test"}
  dataset = _questions(splits=splits, input="Choose.")
  [found] = _suite(dataset, task_field="dataset").tasks().values()
  # Unlabelled records are left out; what is reported chooses nothing.
  assert [q.text for q in found[Split.VALIDATION]] == [
    "Question: two?\nChoose.\nA. x\nB. y\nAnswer:"
  ]
  [asked] = found[Split.TEST]
  assert (asked.answer, asked.choices) == ("A", ("A", "B"))
  # An exemplar is shown, and is not asked as well.
  dataset = _questions(splits={"exemplars": "train", "test": "test"})
  [found] = _suite(dataset).tasks().values()
  assert len(found[Split.EXEMPLARS]) == 2 and not found[Split.TEST]


def test_records_that_make_no_question_are_named(records):
  for changes, message in (
    ({"instruction": "{x}"}, r"d:1.0.0, test, record 0: no feature 'x'"),
    ({"answer": "q/x"}, "no feature 'q/x'; there are"),
    ({"options": ()}, "either the template of an output or options"),
    ({"splits": {"dev": "test"}}, "expected at least one dataset, and some of"),
    ({"splits": {}}, "expected at least one dataset"),
  ):
    with pytest.raises(few_shot.FewShotError, match=message):
      list(_questions(**changes).rows())
  with pytest.raises(few_shot.FewShotError, match="at is 1, but there are 1"):
    list(_questions(splits={"test": "train"}, options=("{q/stem}",)).rows())
  with pytest.raises(few_shot.FewShotError, match="give one of them"):
    _suite(None)
  with pytest.raises(few_shot.FewShotError, match="give one of them"):
    _suite(_questions(), pattern="x")


def _prompted(**changes):
  settings = {
    **{"name": "n", "dataset": "d:1.0.0", "inputs": ["1 {q/stem}", "2 {at}"]},
    **{"target": "it is {answer}", "words": ("{many/0}", "no"), "label": "at"},
  }
  return instruction_tasks.PromptedDataset(**settings | changes)


def _examples(count):
  rows = {"q": {"stem": ["one"]}, "at": [0], "many": [["x", "y"]]}
  examples = tf.data.Dataset.from_tensor_slices(rows)
  dropped = tf.data.Dataset.from_tensor_slices({**rows, "at": [-1]})
  return examples.concatenate(dropped).repeat(count)


def _texts(dataset, count):
  with seqio.utils.map_seed_manager(7):
    found = instruction_tasks.apply_templates(_examples(count), dataset=dataset)
  return list(found.as_numpy_iterator())


def test_an_example_is_prompted_by_one_of_its_templates():
  found = _texts(_prompted(), 200)
  assert {row["targets"] for row in found} == {b"it is x"}
  counts = collections.Counter(row["inputs"] for row in found)
  assert set(counts) == {b"1 one", b"2 0"}
  # Unlabelled examples are dropped, both templates are drawn alike.
  assert sum(counts.values()) == 200
  assert 70 < counts[b"1 one"] < 130
  assert [r["inputs"] for r in _texts(_prompted(), 200)] == [
    row["inputs"] for row in found
  ]


def test_each_label_has_its_word():
  stems = {"stem": ["first", "second", "unlabelled"]}
  rows = {"q": stems, "at": [0, 1, -1], "many": [["x", "y"]] * 3}
  with seqio.utils.map_seed_manager(7):
    found = instruction_tasks.apply_templates(
      tf.data.Dataset.from_tensor_slices(rows),
      dataset=_prompted(inputs=["{q/stem}"]),
    )
  assert [*map(tuple, map(dict.values, found.as_numpy_iterator()))] == [
    (b"first", b"it is x"),
    (b"second", b"it is no"),
  ]


def test_mistakes_of_a_prompted_dataset_are_named():
  for changes, message in (
    ({"inputs": "x"}, "expected a list of templates"),
    ({"words": ()}, "give both or none"),
  ):
    with pytest.raises(instruction_tasks.InstructionError, match=message):
      _prompted(**changes)
  with pytest.raises(prompt_templates.TemplateError, match="has a brace of no"):
    _prompted(target="{")
  for changes, missing in (
    *(({"target": "{x}"}, "x"), ({"label": "q/x"}, "q/x")),
    *(({"words": ("{many/a}",)}, "many/a"),),
  ):
    with pytest.raises(
      instruction_tasks.InstructionError, match=f"no feature '{missing}'"
    ):
      _texts(_prompted(**changes), 1)


def test_mistakes_of_a_mixture_are_named():
  good = {
    **{"datasets": [_prompted()], "maximum": 10, "trained_on": "train"},
    **{"watched": ["n"], "watched_on": "test"},
  }
  mixture = instruction_tasks.Instructions(**good)
  assert mixture.describe() == {"watched": ["n"], "watched_on": "test"}
  for changes, message in (
    ({"datasets": [_prompted(), _prompted()]}, "each once"),
    ({"datasets": []}, "each once"),
    ({"watched": ["x"]}, r"\['x'\] are watched, but no datasets"),
    ({"watched_on": "train"}, "would be trained on and watched"),
  ):
    with pytest.raises(instruction_tasks.InstructionError, match=message):
      instruction_tasks.Instructions(**good | changes)
