# SPDX-License-Identifier: Apache-2.0
"""Grades of an LLM judge, beside the judge read anew for every answer."""

import functools
import json

import jax
import numpy as np
import pytest

from data_efficient.models import (
  chat_templates,
  decoder_configs,
  networks,
  tokenizer_files,
  tokenizers,
)
from data_efficient.scorers import answers, grading, interface, judges, rubrics
from tests import decoders
from tests.scorers import asked

RUBRIC = rubrics.Rubric(
  introduction="Grade.",
  task="T:",
  reference="F:",
  response="R:",
  criteria=("Is it right?", "Is it {clear}?"),
  scale={"1": "bad", "3": "fair", "10": "good"},
  question="GRADE:",
  responses=("A:", "B:"),
  choices=("A", "B"),
  comparison="BETTER:",
)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
  directory = tmp_path_factory.mktemp("judges") / "judge"
  decoders.save(directory)
  network = decoder_configs.read_config(directory, dtype="float32")
  return (
    judges.load(network=network, checkpoint=str(directory), kind="random"),
    tokenizer_files.read(str(directory)),
  )


def _grader(judge, **changes):
  settings = {
    **{"judge": judge[0], "tokenizer": judge[1], "rubric": RUBRIC},
    **{"max_tokens": 256, "least_mass": 0.0, "length_step": 256},
    **{"batch_tokens": 512, "part_records": 8, "chat": None},
  }
  return grading.Grader(**settings | changes)


def test_the_reference_stands_before_or_behind():
  text = RUBRIC.grading("{x}?", "yes", "no", reference_first=True)
  assert text == (
    "Grade.\n\nT:\n{x}?\n\nF:\nyes\n\nR:\nno\n\n- Is it right?\n"
    "- Is it {clear}?\n\n1: bad\n3: fair\n10: good\n\nGRADE:"
  )
  other = RUBRIC.grading("{x}?", "yes", "no", reference_first=False)
  assert other == text.replace("F:\nyes\n\nR:\nno", "R:\nno\n\nF:\nyes")
  pair = RUBRIC.comparing("x", "yes", ("no", "maybe"))
  assert pair == (
    "Grade.\n\nT:\nx\n\nF:\nyes\n\nA:\nno\n\nB:\nmaybe\n\n- Is it right?\n"
    "- Is it {clear}?\n\nBETTER:"
  )


@functools.partial(jax.jit, static_argnames="network")
def _logits(network, parameters, tokens):
  batch = {"decoder_input_tokens": tokens, "decoder_target_tokens": tokens}
  found = networks.logits(network, parameters, batch, dropout=None)
  return jax.nn.log_softmax(found)


def _slowly(judge, text, word):
  """log P of a word behind a text, and the likely first token."""
  own, tokenizer = judge
  ids = [*tokenizer.begin_ids, *tokenizer.encode(text)]
  pieces = tokenizer.answer_ids(word)
  tokens = np.full((1, 256), -1, np.int32)
  tokens[0, : len(ids) + len(pieces)] = [*ids, *pieces]
  nats = np.asarray(_logits(own.network, own.parameters, tokens))[0]
  at = len(ids) - 1
  found = sum(float(nats[at + n, piece]) for n, piece in enumerate(pieces))
  return found, int(np.argmax(nats[at]))


def test_a_grade_is_the_expected_one_of_the_judge(judge):
  batch = [
    grading.Graded("add 1 and 1", "2", "2"),
    grading.Graded("add 1 and 1", "2", ""),
    grading.Graded("a word", "x" * 40, "y" * 30),
  ]
  found = _grader(judge).grade(batch)
  # A random judge would say anything, so most are outside; numbers are kept.
  for row, one in enumerate(batch):
    grades, masses = [], []
    for first in (True, False):
      text = RUBRIC.grading(*one, reference_first=first)
      p = [np.exp(_slowly(judge, text, word)[0]) for word in RUBRIC.scale]
      masses.append(sum(p))
      grades.append((p[0] * 1 + p[1] * 3 + p[2] * 10) / sum(p))
    values = {name: c[row] for name, c in found.columns.items()}
    assert values["reference_first"] == pytest.approx(grades[0], rel=1e-4)
    assert values["response_first"] == pytest.approx(grades[1], rel=1e-4)
    assert values["score"] == pytest.approx(np.mean(grades), rel=1e-4)
    assert values["disagreement"] == pytest.approx(
      abs(grades[0] - grades[1]), abs=1e-3
    )
    assert values["mass"] == pytest.approx(min(masses), rel=1e-4)
  assert np.ptp(found.columns["score"]) > 0
  # Whoever stands beside it.
  alone = _grader(judge).grade(batch[1:2])
  np.testing.assert_allclose(
    alone.columns["score"], found.columns["score"][1:2], rtol=1e-5
  )


def test_a_judge_that_would_say_something_else_has_not_graded(judge):
  batch = [grading.Graded(f"add {n} and 1", "2", "2") for n in range(6)]
  found = _grader(judge).grade(batch)
  expected = []
  for one in batch:
    said = [
      _slowly(judge, RUBRIC.grading(*one, reference_first=first), "1")[1]
      for first in (True, False)
    ]
    (begin,) = {judge[1].answer_ids(word)[0] for word in RUBRIC.scale}
    inside = all(token == begin for token in said)
    expected.append(interface.SCORED if inside else grading.OUTSIDE)
  assert found.statuses == expected and grading.OUTSIDE in expected
  assert _grader(judge, max_tokens=40).grade(batch).statuses == (
    [grading.TOO_LONG] * 6
  )


def _says(monkeypatch, function, word=None):
  """A judge of these probabilities, by the text's ids."""

  def said(parameters, tokens, *, network, answers):
    rows = [function([i for i in row if i >= 0]) for row in tokens.tolist()]
    first = [(word or answers)[0][0]] * len(rows)
    return np.log(np.array(rows)), np.array(first)

  monkeypatch.setattr(answers, "beside_the_first", said)


def test_too_little_probability_on_the_scale_is_outside_it(judge, monkeypatch):
  _says(monkeypatch, lambda ids: [0.3, 0.1, 0.05])
  batch = [grading.Graded("a", "b", "c")] * 2
  for least, status in ((0.44, interface.SCORED), (0.46, grading.OUTSIDE)):
    found = _grader(judge, least_mass=least).grade(batch)
    assert found.statuses == [status] * 2
  assert found.columns["score"][0] == pytest.approx(1.1 / 0.45)
  with pytest.raises(grading.GradingError, match=r"2 of 2 .*0.45 \(median\)"):
    _grader(judge, least_mass=0.46).check(
      found.statuses, found.columns["mass"].tolist()
    )
  # Half is not most.
  _grader(judge).check([grading.OUTSIDE, interface.SCORED], [0.1, 0.9])
  _says(monkeypatch, lambda ids: [np.nan] * 3)
  found = _grader(judge).grade(batch)
  assert found.statuses == [grading.NON_FINITE] * 2
  with pytest.raises(grading.GradingError, match="checkpoint is damaged"):
    _grader(judge).check(found.statuses, [])


def test_what_fits_keeps_its_place_among_what_does_not(judge, monkeypatch):
  """Texts of many lengths, in batches of two; the grade is the length's."""

  def of(length):
    return [1 / length, 1e-9, 1 - 1 / length]

  _says(monkeypatch, lambda ids: of(max(len(ids), 2)))
  letters = [9, 400, 1, 30, 400, 2, 17]
  batch = [grading.Graded("a", "b", "c" * count) for count in letters]
  grader = _grader(judge, length_step=16)
  found = grader.grade(batch)
  score, statuses = found.columns["score"], found.statuses
  for row, (count, one) in enumerate(zip(letters, batch, strict=True)):
    if count == 400:
      assert statuses[row] == grading.TOO_LONG and np.isnan(score[row])
      continue
    text = RUBRIC.grading(*one, reference_first=True)
    share = of(1 + len(judge[1].encode(text)))
    assert statuses[row] == interface.SCORED
    assert score[row] == pytest.approx(np.dot(share, [1, 3, 10]), rel=1e-6)


def test_a_chat_stands_around_what_is_graded(judge, monkeypatch):
  read = []
  _says(monkeypatch, lambda ids: read.append(ids) or [0.5, 0.2, 0.2])
  chat = chat_templates.ChatTemplate(
    before="<s>U: ", after="\nM:", marks=("<s>",)
  )
  one = grading.Graded("<s>a", "b", "c")
  _grader(judge, chat=chat, batch_tokens=256).grade([one])
  encode, mark = judge[1].encode, judge[1].encode_marked("<s>")
  texts = [RUBRIC.grading(*one, reference_first=f) for f in (True, False)]
  assert read == [
    [*mark, *encode("U: "), *encode(text), *encode("\nM:")] for text in texts
  ]
  with pytest.raises(tokenizers.TokenizerError, match="reads no marks"):
    _grader((judge[0], asked.Letters()), chat=chat)


@pytest.mark.parametrize(
  ("first_first", "first_last", "expected"),
  [(0.9, 0.2, 1.0), (0.4, 0.7, 0.0), (0.9, 0.8, 0.5), (0.2, 0.1, 0.5)],
)
def test_a_win_needs_both_orders(
  judge, monkeypatch, first_first, first_last, expected
):
  """Probabilities of "A": where the first stands first, and where last."""
  tokenizer = judge[1]
  one = grading.Compared("a", "b", "mine", "other")
  before = tokenizer.encode(RUBRIC.comparing("a", "b", ("mine", "other")))

  def share(ids):
    chosen = first_first if ids[1:] == before else first_last
    return [0.9 * chosen, 0.9 * (1 - chosen)]

  _says(monkeypatch, share)
  found = _grader(judge).compare([one])
  assert found.statuses == [interface.SCORED]
  values = {name: float(c[0]) for name, c in found.columns.items()}
  assert values["score"] == expected
  assert values["first_first"] == pytest.approx(first_first)
  assert values["second_first"] == pytest.approx(1 - first_last)


def test_rubrics_in_files(tmp_path):
  import dataclasses

  path = tmp_path / "rubric.json"
  path.write_text(json.dumps(dataclasses.asdict(RUBRIC)))
  assert rubrics.read(str(path)).grades == (1.0, 3.0, 10.0)
  path.write_text(json.dumps({"introduction": "x", "colour": "y"}))
  with pytest.raises(rubrics.RubricError, match=r"lacks \['choices'.*colour"):
    rubrics.read(str(path))
  path.write_text("{")
  with pytest.raises(rubrics.RubricError, match="cannot be read as JSON"):
    rubrics.read(str(path))


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"scale": {"bad": "x", "good": "y"}}, "expected numbers"),
    ({"scale": {"1": "x"}}, "two grades or more"),
    ({"criteria": "Is it right?"}, "criteria"),
    ({"choices": ("A", "A")}, "two different ones"),
  ],
)
def test_rubrics_that_nobody_can_grade_by(change, said):
  import dataclasses

  with pytest.raises(rubrics.RubricError, match=said):
    dataclasses.replace(RUBRIC, **change)
