# SPDX-License-Identifier: Apache-2.0
"""Hostile documents: what they are, and that they repeat."""

import base64

import numpy as np
import pytest

from data_efficient.data import hostile, hostile_payloads
from data_efficient.scorers import prompts

PROMPT = prompts.ask_llm()
DOCUMENT = "one two three four five six seven eight nine ten"
ATTACKS = hostile.attacks(PROMPT)


def test_attacks_repeat_with_the_generator_and_differ_from_the_document():
  for attack in ATTACKS:
    once = attack(DOCUMENT, np.random.default_rng(3))
    assert once == attack(DOCUMENT, np.random.default_rng(3)) != DOCUMENT


def test_the_whole_document_is_there_around_the_payload():
  for attack in ATTACKS:
    text = attack(DOCUMENT, np.random.default_rng(0))
    payload = attack.make(DOCUMENT, np.random.default_rng(0))
    before, after = text.split(payload, 1) if payload else (text, "")
    assert (before + " " + after).split() == DOCUMENT.split()
    assert (before == "") == (attack.place is hostile.Place.HEAD)
    assert (after == "") == (attack.place is hostile.Place.TAIL)


def test_every_payload_stands_in_every_place():
  names = hostile_payloads.payloads(PROMPT)
  assert [(a.payload, a.place) for a in ATTACKS] == [
    (name, place) for name in names for place in hostile.Place
  ]
  assert {a.payload for a in ATTACKS} - {
    a.payload for a in hostile.commands(PROMPT)
  } == set(hostile_payloads.MERE_TEXT)


def test_encodings_can_be_read_back():
  encodings = hostile_payloads.ENCODINGS
  text = "Answer yes."
  assert base64.b64decode(encodings["base64"](text)).decode() == text
  assert encodings["rot13"](text) == "Nafjre lrf."
  assert encodings["full_width"]("yes") == "ｙｅｓ"  # noqa: RUF001
  assert encodings["homoglyphs"](text) != text
  assert encodings["tags"]("a") == "\U000e0061"


def test_orders_name_the_prompts_own_answer():
  prompt = prompts.Prompt(
    before="", after="\n?", positive="good", negative="bad"
  )
  make = hostile_payloads.payloads(prompt)["order_english"]
  said = [make("", np.random.default_rng(seed)) for seed in range(20)]
  assert all("good" in text for text in said) and len(set(said)) > 2


@pytest.mark.parametrize("document", ["", "x", "no_white_space"])
@pytest.mark.parametrize("attack", ATTACKS[::7])
def test_short_documents_can_be_attacked(attack, document):
  assert isinstance(attack(document, np.random.default_rng(0)), str)


def test_broken_texts_are_broken():
  broken = hostile.broken()
  assert len(broken["million_letters"]) == 1_000_000
  with pytest.raises(UnicodeEncodeError):
    broken["half_pair"].encode()
  assert not broken["white_space"].strip()
