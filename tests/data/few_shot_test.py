# SPDX-License-Identifier: Apache-2.0
"""Prompts of exemplars and questions, and the suites on files."""

import json

import pytest

from data_efficient.data import downstream, few_shot
from data_efficient.data.few_shot import Question, Split


def _question(text, split=None, task="t"):
  return Question(text, task, text, "yes", "yes", (), text, split)


def _words(text):
  return [len(word) for word in text.split()]


def test_exemplars_are_dropped_from_the_front_and_the_question_never_cut():
  shown = [_question(f"q{n} x", Split.EXEMPLARS) for n in range(3)]
  asked = _question("what is it", Split.TEST)
  for window, dropped in ((12, 0), (11, 1), (6, 2), (5, 3), (3, 3)):
    found = few_shot.prompt(asked, shown, encode=_words, window=window)
    assert (found.dropped, found.shots) == (dropped, 3 - dropped)
    text = "\n\n".join(
      [f"q{n} x yes" for n in range(dropped, 3)] + [asked.text]
    )
    assert list(found.ids) == _words(text)
  found = few_shot.prompt(asked, shown, encode=_words, window=2)
  assert found.ids is None and found.dropped == 3


def test_a_question_among_its_exemplars_is_an_error():
  asked = _question("q1", Split.TEST)
  shown = [_question("q1", Split.EXEMPLARS)]
  with pytest.raises(few_shot.FewShotError, match="is asked behind itself"):
    few_shot.prompt(asked, shown, encode=_words, window=9)


def test_what_is_shown_is_not_asked_and_splits_share_nothing():
  found = few_shot.tasks(
    [
      _question("a", Split.TEST),
      _question("b", Split.TEST),
      _question("a", Split.EXEMPLARS),
      _question("b", Split.TEST),
    ]
  )
  assert [q.text for q in found["t"][Split.TEST]] == ["b"]
  assert [q.text for q in found["t"][Split.EXEMPLARS]] == ["a"]
  with pytest.raises(
    few_shot.FewShotError, match=r"b \(validation\) asks what"
  ):
    few_shot.tasks(
      [_question("b", Split.TEST), _question("b", Split.VALIDATION)]
    )


def test_exemplars_are_never_asked_and_must_be_there():
  by_split = few_shot.tasks([_question("a", Split.TEST)])["t"]
  wanted = {"limit": None, "encode": _words, "window": 9}
  with pytest.raises(few_shot.FewShotError, match="never asked"):
    few_shot.prompts(by_split, split=Split.EXEMPLARS, shots=0, **wanted)
  with pytest.raises(few_shot.FewShotError, match="'t' has no exemplar"):
    few_shot.prompts(by_split, split=Split.TEST, shots=2, **wanted)
  asked = few_shot.prompts(by_split, split=Split.TEST, shots=0, **wanted)
  assert [p.question.text for p in asked] == ["a"]


def test_splits_follow_groups():
  questions = [
    _question(str(n))._replace(group=str(n // 10)) for n in range(4000)
  ]
  counts = few_shot.counts(few_shot.tasks(questions))
  assert sum(counts.values()) == 4000
  assert counts["exemplars"] == pytest.approx(400, rel=0.3)
  assert counts["validation"] == pytest.approx(800, rel=0.3)
  for group in range(0, 4000, 10):
    assert len(set(map(few_shot.split_of, questions[group : group + 10]))) == 1


def _suite(path, **changes):
  settings = {
    **{"name": "s", "category": "c", "pattern": str(path), "metrics": ()},
    **{"layout": "options", "how": "likelihood", "shots": 1},
  }
  return downstream.Suite(**settings | changes)


def _write(path, *rows):
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return path


def test_records_become_questions(tmp_path):
  row = {"instruction": "Why?", "input": "A. x\nB. y", "output": "B"}
  path = _write(tmp_path / "a.jsonl", {**row, "id": "m-dev-0", "subject": "s"})
  found = _suite(path, task_field="subject").tasks()["s"][Split.EXEMPLARS][0]
  assert found.text == "Question: Why?\nA. x\nB. y\nAnswer:"
  assert (found.choices, found.answer) == (("A", "B"), "B")
  row = {"instruction": "2+3?", "output": "It is <<2+3=5>>5\n#### 5"}
  path = _write(tmp_path / "b.jsonl", row)
  suite = _suite(path, layout="steps", how="generation")
  [[found]] = filter(None, suite.tasks()["s"].values())
  assert found.shown == "It is 5\n#### 5"


@pytest.mark.parametrize(
  ("row", "message"),
  [
    ({"instruction": "x", "input": "A. x"}, "field 'output' is None"),
    ({"instruction": "x", "output": "B", "input": "A. x"}, "none of the opt"),
  ],
)
def test_records_that_make_no_question_are_named(tmp_path, row, message):
  path = _write(tmp_path / "a.jsonl", row)
  with pytest.raises(few_shot.FewShotError, match=f"a.jsonl.*{message}"):
    _suite(path).tasks()


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"layout": "x"}, "layout is 'x', expected one of options"),
    ({"how": "x"}, "how is 'x'"),
    ({"shots": -1}, "shots = -1"),
    ({"limit": 0}, "limit = 0"),
  ],
)
def test_settings_of_a_suite_are_checked(changes, message):
  with pytest.raises(few_shot.FewShotError, match=message):
    _suite("x", **changes)


def test_a_record_may_name_its_split(tmp_path):
  row = {"instruction": "Why?", "input": "A. x", "output": "A"}
  path = _write(tmp_path / "a.jsonl", {**row, "split": "exemplars"})
  [found] = _suite(path).tasks().values()
  assert len(found[Split.EXEMPLARS]) == 1
  path = _write(tmp_path / "a.jsonl", {**row, "split": "dev"})
  with pytest.raises(few_shot.FewShotError, match="split is 'dev', expected"):
    _suite(path).tasks()


def test_tasks_that_a_suite_names(tmp_path):
  row = {"instruction": "Why?", "input": "A. x", "output": "A"}
  rows = [{**row, "task": name} for name in ("a", "b", "c")]
  path = _write(tmp_path / "a.jsonl", *rows)
  suite = _suite(path, task_field="task", names=["c", ("a", "d", "b")])
  found = suite.tasks()
  assert suite.rows(found) == [["c"], ["a", "b"]]
  assert suite.missing(found) == ["d"]
  assert _suite(path).rows(found) == [["a"], ["b"], ["c"]]
  with pytest.raises(few_shot.FewShotError, match=r"has no task \['c'\]"):
    _suite(path, task_field="task", names=["a", "b"]).tasks()


def test_mmlu_has_57_subjects_and_exemplars_of_its_own_split(shared):
  suite = _suite(
    shared / "data/instruct/mmlu_dev_val.jsonl.gz", task_field="subject"
  )
  found = suite.tasks()
  assert len(found) == 57
  for by_split in found.values():
    assert by_split[Split.EXEMPLARS] and by_split[Split.TEST]
    assert all("-dev-" in q.name for q in by_split[Split.EXEMPLARS])
    texts = [{q.text for q in questions} for questions in by_split.values()]
    assert sum(map(len, texts)) == len(set.union(*texts))
