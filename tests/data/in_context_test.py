# SPDX-License-Identifier: Apache-2.0
"""Examples before a query, beside a slow twin that tries all counts."""

import random

import pytest

from data_efficient.data import in_context, instruction_rows
from data_efficient.scorers import templates
from data_efficient.scorers.templates import Instruction
from tests import decoders

SEPARATOR = "--"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
  from data_efficient.models import tokenizer_files

  path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
  decoders.tokenizer().save(str(path))
  template = templates.Template(
    example="For example:\n{prompt}: {response}",
    query="\nNow: {prompt}: ",
    alone="",
    query_alone="{prompt}: ",
    answer="{response}",
    ends=False,
  )
  return instruction_rows.Encoder(
    tokenizer_files.read(str(path)),
    template,
    instruction_rows.Window(100, 20, True),
  )


def _examples(count):
  chooser = random.Random(0)
  return [
    Instruction(f"task {n}", "x" * chooser.randrange(1, 30))
    for n in range(count)
  ]


def _text(query, examples):
  """What a prompt says, one id a character."""
  shown = SEPARATOR.join(
    f"For example:\n{e.prompt}: {e.response}" for e in reversed(examples)
  )
  return f"{shown}\nNow: {query.prompt}: " if shown else f"{query.prompt}: "


def _slowly(encoder, query, examples, room):
  """Text, examples shown and whether one is cut; None: too long."""
  begin = len(encoder.begin)
  for count in range(len(examples), 0, -1):
    text = _text(query, examples[:count])
    if begin + len(text) <= room:
      return text, count, False
  if examples:
    example = f"For example:\n{examples[0].prompt}: {examples[0].response}"
    asked = f"\nNow: {query.prompt}: "
    kept = room - begin - len(asked)
    if kept > len("For example:\n: "):
      return example[:kept] + asked, 1, True
  text = _text(query, [])
  return (text, 0, False) if begin + len(text) <= room else None


def test_as_many_of_the_nearest_as_fit(encoder):
  query, examples = Instruction("add 2 and 2", "4"), _examples(5)
  seen = set()
  for room in range(1, 320):
    found = in_context.prompt(
      query,
      examples,
      encoder=encoder,
      separator=encoder.text(SEPARATOR),
      room=room,
    )
    expected = _slowly(encoder, query, examples, room)
    if expected is None:
      assert found == in_context.Prompt([], reason=in_context.TOO_LONG)
      seen.add("none")
      continue
    text, shown, cut = expected
    assert found.ids == [*encoder.begin, *encoder.text(text)], room
    assert (found.shown, found.cut, found.reason) == (shown, cut, None)
    assert len(found.ids) <= room
    seen.add((shown, cut))
  # Every case was met.
  assert seen == {
    "none",
    (0, False),
    (1, True),
    *((n, False) for n in range(1, 6)),
  }


def test_an_encoder_s_inputs_end(encoder):
  of_two = instruction_rows.Encoder(
    encoder._tokenizer,
    encoder._template,
    instruction_rows.Window(100, 20, False),
  )
  query = Instruction("add", "4")
  for examples, text in (
    ([], "add: "),
    ([Instruction("a", "b")], "For example:\na: b\nNow: add: "),
  ):
    found = in_context.prompt(
      query, examples, encoder=of_two, separator=[], room=100
    )
    assert found.ids == [*of_two.text(text), of_two.eos_id]


def test_prompts_that_say_the_same_are_copies():
  one = in_context.keys(Instruction("What is 2 + 2 ?", "4"))
  for prompt in ("what is  2+2", "WHAT IS\n2 _ 2!?", "What is\u00a02 + 2"):
    other = in_context.keys(Instruction(prompt, "four"))
    assert other[0] != one[0] and other[1] == one[1]
  assert in_context.keys(Instruction("What is 3 + 2 ?", "4"))[1] != one[1]
