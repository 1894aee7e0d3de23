# SPDX-License-Identifier: Apache-2.0
"""Rows against the same rows as Python lists; orders, shares and examples."""

import collections

import numpy as np
import pytest

from data_efficient.data import context_rows, instruction_rows, row_mixtures
from data_efficient.scorers import templates
from data_efficient.scorers.templates import Instruction
from tests.data import letters

TEMPLATE = templates.Template(
  example="[{prompt}={response}]",
  query="<{prompt}=",
  alone="!",
  query_alone="{prompt}=",
  answer="{response}",
  ends=False,
)
RECORDS = [
  Instruction("aa", "b"),
  Instruction("c", "dd"),
  Instruction("e", " "),
  Instruction("f" * 30, "g"),
  Instruction("c", "h"),
  Instruction("aaa", "bb"),
]
TASKS = ["x", "y", "x", "x", "y", "x"]


def _encoder(*, inputs=16, targets=16, decoder_only=True):
  window = instruction_rows.Window(inputs, targets, decoder_only)
  return instruction_rows.Encoder(letters.Letters(), TEMPLATE, window)


def _in_context(encoder=None, *, counts=(2,), tokens=8, tasks=TASKS):
  encoder = encoder or _encoder(inputs=40)
  found = instruction_rows.read(RECORDS, encoder, label="test")
  shots = context_rows.Shots(counts, tokens, "/")
  return context_rows.InContext(
    RECORDS, tasks, found, encoder, shots, label="test"
  )


def _texts(row):
  return letters.text(row.inputs), letters.text(row.targets)


def test_a_row_is_query_and_answer_and_what_does_not_fit_is_counted():
  found = instruction_rows.read(RECORDS, _encoder(), label="test")
  assert found.left_out == {"empty response": 1, "too long": 1}
  rows = instruction_rows.Alone(found)
  assert [_texts(rows.at(n)) for n in range(len(rows))] == [
    ("^!aa=", "b$"),
    ("^!c=", "dd$"),
    ("^!c=", "h$"),
    ("^!aaa=", "bb$"),
  ]


def test_an_encoder_decoder_has_no_begin_and_two_ends():
  encoder = _encoder(decoder_only=False)
  rows = instruction_rows.Alone(
    instruction_rows.read(RECORDS, encoder, label="test")
  )
  assert _texts(rows.at(0)) == ("!aa=$", "b$")


@pytest.mark.parametrize(
  ("window", "fits"),
  [
    # ^!aa= and b$ are 7 tokens, of which the last is only predicted.
    ({"inputs": 6, "decoder_only": True}, True),
    ({"inputs": 5, "decoder_only": True}, False),
    ({"inputs": 5, "targets": 2, "decoder_only": False}, True),
    ({"inputs": 4, "targets": 2, "decoder_only": False}, False),
    ({"inputs": 5, "targets": 1, "decoder_only": False}, False),
  ],
)
def test_what_fits_exactly_is_kept(window, fits):
  found = instruction_rows.read(RECORDS[:1], _encoder(**window), label="test")
  assert bool(len(found.numbers)) is fits


def test_an_epoch_has_each_record_once_and_its_own_order():
  found = instruction_rows.read(RECORDS, _encoder(), label="test")
  rows = instruction_rows.Alone(found)
  size = len(rows)

  def epoch(number, seed):
    return [
      _texts(rows.draw(n, seed))
      for n in range(number * size, size * number + 4)
    ]

  epochs = [tuple(epoch(n, seed)) for n in range(4) for seed in (0, 1)]
  assert len({tuple(sorted(each)) for each in epochs}) == 1
  assert len(set(epochs)) > 2
  assert epochs[0] == tuple(epoch(0, 0))  # after others were drawn


def test_examples_are_of_the_task_and_have_other_prompts():
  rows = _in_context()
  seen = set()
  for number in range(40):
    inputs, targets = _texts(rows.draw(number, seed=3))
    shown, query = inputs[1:].split("<")
    prompt = query.removesuffix("=")
    answers = {"aa": {"b$"}, "aaa": {"bb$"}, "c": {"dd$", "h$"}}
    assert targets in answers[prompt]
    others = {"aa": ["[aaa=bb]"], "aaa": ["[aa=b]"], "c": []}
    assert shown.split("/") == others[prompt]
    seen.add(prompt)
  # Both of the other task have one prompt, and would show one another.
  assert seen == {"aa", "aaa"}


def test_a_query_in_other_case_and_spacing_is_no_example_of_it():
  records = [Instruction(p, "k") for p in ("a b", "A  B.", "a-B", "c")]
  encoder = _encoder(inputs=40)
  rows = context_rows.InContext(
    records,
    ["x"] * 4,
    instruction_rows.read(records, encoder, label="test"),
    encoder,
    context_rows.Shots((3,), 12, "/"),
    label="test",
  )
  for number in range(8):
    shown, query = _texts(rows.draw(number, seed=0))[0][1:].split("<")
    if query == "c=":
      assert set(shown.split("/")) == {"[a b=k]", "[A  B.=k]", "[a-B=k]"}
    else:
      assert shown == "[c=k]"


def test_each_task_has_its_own_examples():
  records = [Instruction(c * 2, c) for c in "abcXYZ"]
  encoder = _encoder(inputs=40)
  rows = context_rows.InContext(
    records,
    ["x"] * 3 + ["y"] * 3,
    instruction_rows.read(records, encoder, label="test"),
    encoder,
    context_rows.Shots((2,), 8, "/"),
    label="test",
  )
  for number in range(6):
    shown, query = _texts(rows.draw(number, seed=0))[0].split("<")
    assert query.isupper() == shown.isupper()
    assert shown.count("[") == 2


def test_as_many_examples_as_fit_and_as_asked():
  records = [Instruction(c * 2, c) for c in "abcdefgh"]
  for inputs, most in ((26, 3), (25, 2), (18, 1)):
    encoder = _encoder(inputs=inputs)
    found = instruction_rows.read(records, encoder, label="test")
    rows = context_rows.InContext(
      records,
      ["x"] * 8,
      found,
      encoder,
      context_rows.Shots((1, 3), 8, "/"),
      label="test",
    )
    drawn = [_texts(rows.draw(n, 0)) for n in range(64)]
    counts = {inputs.count("[") for inputs, _ in drawn}
    assert counts == {1, most}
    for inputs_, targets in drawn:
      assert encoder.window.fits(len(inputs_), len(targets))
      shown = inputs_[1:].split("<")[0].split("/")
      assert len(set(shown)) == len(shown)
      assert not any(targets[0] in each for each in shown)
  assert drawn == [_texts(rows.draw(n, 0)) for n in range(64)]
  assert drawn != [_texts(rows.draw(n, 1)) for n in range(64)]


def test_longer_examples_are_not_shown():
  with pytest.raises(instruction_rows.RowsError, match="TASK_FIELD"):
    _in_context(tokens=3)
  with pytest.raises(instruction_rows.RowsError, match="TASK_FIELD"):
    _in_context(tasks="abcdef")


def test_each_token_of_a_text_is_predicted_once():
  encoder = _encoder(inputs=7)
  texts = ["abcdefghijklmnopq", " ", "rst"]
  rows = instruction_rows.Text(texts, count=3, encoder=encoder, label="test")
  drawn = [rows.draw(n, seed=0) for n in range(len(rows))]
  assert all(len(row.inputs) == 1 for row in drawn)
  assert max(len(row.targets) for row in drawn) <= 7
  predicted = sorted(letters.text(row.targets) for row in drawn)
  assert predicted == ["abcdef", "ghijkl", "mnopq$", "rst$"]
  assert {letters.text(row.inputs) for row in drawn} == {"^", "f", "l"}


def test_shares_are_exact_in_every_block():
  class Kind:
    def __init__(self, count):
      self.count, self.numbers = count, []
      self.row = instruction_rows.Row(np.array([count]), np.array([0]))

    def __len__(self):
      return self.count

    def draw(self, number, seed):
      self.numbers.append(number)
      return self.row

  kinds = [Kind(5), Kind(7), Kind(11)]
  mixture = row_mixtures.Mixture(
    [(0.25, kinds[0]), (0.7, kinds[1]), (0.05, kinds[2])]
  )
  block = mixture.BLOCK
  drawn = [mixture.draw(n, seed=4) for n in range(3 * block)]
  for start in range(0, 3 * block, block):
    counts = collections.Counter(
      int(row.inputs[0]) for row in drawn[start : start + block]
    )
    assert [counts[kind.count] for kind in kinds] == [250, 700, 50]
  for kind, share in zip(kinds, (250, 700, 50), strict=True):
    assert kind.numbers == list(range(3 * share))
  # A place on its own is what it is in the whole.
  at = block + 17
  assert mixture.draw(at, seed=4) is drawn[at]
  again = [mixture.draw(n, seed=5) for n in range(block)]
  assert any(a is not b for a, b in zip(again, drawn, strict=False))


def test_shares_round_to_the_whole():
  assert row_mixtures.shared([1 / 3] * 3, 1000) == [334, 333, 333]
  assert row_mixtures.shared([0.999, 0.001], 1000) == [999, 1]


def test_pieces_overlap_by_one():
  ids = list(range(23))
  for length in (1, 5, 22, 40):
    made = instruction_rows.pieces(ids, length)
    assert [ids[0], *(i for piece in made for i in piece[1:])] == ids
    assert max(len(piece) for piece in made) <= length + 1
  assert np.ptp([len(p) for p in instruction_rows.pieces(ids, 5)]) <= 1
