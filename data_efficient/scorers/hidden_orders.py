# SPDX-License-Identifier: Apache-2.0
"""Sentences that order a judge's answer, in several languages and codes."""

import base64
import binascii
import codecs
import functools
import html
import re
import urllib.parse
from collections.abc import Callable, Iterator

from data_efficient.scorers import foldings
from data_efficient.scorers.prompts import Prompt

# A deleted sentence leaves a blank line, which no order crosses: so what is
# left holds none.
_GAP = "\n\n"
# An order's words stand at most this far apart, characters.
_NEAR = 48
# A sentence is looked for this far around an order, characters.
_SENTENCE = 200
# Characters of an encoded text that are decoded at once.
_ENCODED = 512

# Verbs and nouns that ask for an answer, and what "yes" is there.
_ASKING = (
  *(
    "answer",
    "answers",
    "reply",
    "respond",
    "response",
    "say",
    "output",
    "print",
  ),
  *("write", "choose", "select", "option is", "choice is", "return"),
  *("antworte", "antworten", "antwort", "sage", "gib"),
  *("réponds", "répondez", "réponse", "réponses"),
  *("responde", "responda", "respuesta", "contesta", "conteste", "resposta"),
  *("rispondi", "risposta", "ответь", "ответьте", "отвечай", "отвечайте"),
)
_ASKING_ANYWHERE = (
  *("回答", "输出", "回复", "答え", "أجب", "اجب", "أجابة", "उत्तर", "जवाब"),
)
# An order in one of these languages needs no "yes".
_FOREIGN = (
  r"\b(?:antworten?|antwort)\b{near}\bja\b",
  r"\b(?:réponds|répondez)\b{near}\boui\b",
  r"\b(?:ответь|ответьте|отвечай|отвечайте)\b{near}\bда\b",
  r"(?:回答|回复){near}[“「\"']是",
  r"「はい」{near}答え",
  r"(?:أجب|اجب){near}نعم",
)
_IGNORING = (
  r"\b(?:ignore|disregard|forget)\b{near}"
  r"\b(?:instructions?|question|prompt)\b"
)
# Marks of who speaks in a chat.
_CHAT = re.compile(
  r"<\|[a-z_]{1,20}\|>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>",
  re.IGNORECASE,
)
# What such a text has somewhere, its pattern, and what reads it.
_ENCODINGS: tuple[tuple[str, re.Pattern, Callable[[str], str]], ...] = (
  (
    "",
    re.compile(rf"(?<![\w+/])[A-Za-z0-9+/]{{12,{_ENCODED}}}={{0,2}}"),
    lambda text: _utf8(base64.b64decode, text + "=" * (-len(text) % 4)),
  ),
  (
    "",
    re.compile(rf"(?<!\w)(?:[0-9a-fA-F]{{2}}){{10,{_ENCODED}}}(?!\w)"),
    lambda text: _utf8(binascii.unhexlify, text),
  ),
  (
    "%",
    re.compile(rf"(?:%[0-9a-fA-F]{{2}}){{6,{_ENCODED}}}"),
    urllib.parse.unquote,
  ),
  (
    "&#",
    re.compile(rf"(?:&#x?[0-9a-fA-F]{{1,6}};){{6,{_ENCODED}}}"),
    html.unescape,
  ),
  (
    " ",
    re.compile(rf"(?:(?<!\S)\S[ ]{{1,3}}){{8,{_ENCODED}}}\S(?!\S)"),
    lambda text: re.sub(r"(?<=\S) (?=\S)", "", text),
  ),
)


def removed(text: str, prompt: Prompt) -> str:
  """The text without its orders, and a blank line in place of each."""
  spans = [*_plain_spans(text, prompt), *_encoded_spans(text, prompt)]
  text = foldings.without(text, spans, _GAP) if spans else text
  return _CHAT.sub(_GAP, text)


def _plain_spans(text: str, prompt: Prompt) -> Iterator[tuple[int, int]]:
  """Sentences that are orders as they stand, by rot13, or backwards."""
  folded, size = foldings.folded(text), len(text)
  for start, end in _found(folded, prompt):
    yield _sentence(text, start, end)
  for start, end in _found(codecs.encode(text, "rot13"), prompt, fold=True):
    yield _sentence(text, start, end)
  for start, end in _found(folded[::-1], prompt):
    yield _sentence(text, size - end, size - start)


def _found(
  text: str, prompt: Prompt, *, fold: bool = False
) -> Iterator[tuple[int, int]]:
  text = foldings.folded(text) if fold else text
  for needed, pattern in _patterns(prompt):
    if any(word in text for word in needed):
      yield from (found.span() for found in pattern.finditer(text))


def _encoded_spans(text: str, prompt: Prompt) -> Iterator[tuple[int, int]]:
  for sign, pattern, decode in _ENCODINGS:
    for found in pattern.finditer(text) if sign in text else ():
      if any(_found(decode(found[0]), prompt, fold=True)):
        yield found.span()


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
  """The sentence around a part of a text, or as much as is near."""
  lowest, highest = max(0, start - _SENTENCE), min(len(text), end + _SENTENCE)
  begin = max(text.rfind(mark, lowest, start) for mark in ".!?\n。।")
  stops = [text.find(mark, end, highest) for mark in ".!?\n。।"]
  stop = min((at for at in stops if at >= 0), default=end - 1)
  return (begin + 1 if begin >= 0 else start), stop + 1


@functools.cache
def _patterns(prompt: Prompt) -> tuple[tuple[tuple[str, ...], re.Pattern], ...]:
  """Patterns of folded texts, and words of which each needs one."""
  near = rf"(?:(?!\n\s*\n)[^.!?]){{0,{_NEAR}}}?"
  yes = foldings.folded(prompt.positive)
  asking = "|".join(map(re.escape, map(foldings.folded, _ASKING)))
  anywhere = "|".join(map(foldings.folded, _ASKING_ANYWHERE))
  said = (
    rf"(?<![^\W_]){re.escape(yes)}(?![^\W_])"
    # One may say yes to life, but not to every question.
    r"(?! to (?!all|any|each|every|the q|this q))"
  )
  orders = (
    rf"(?:\b(?:{asking})\b|{anywhere}){near}{said}",
    rf"{said}{near}(?:{anywhere})",
  )
  foreign = "|".join(_folded_pattern(p).format(near=near) for p in _FOREIGN)
  words = ("antwort", "réponds", "répondez", "ответь", "отвечай")
  words = (*words, "回答", "回复", "答え", "أجب", "اجب")
  return (
    ((yes,), re.compile("|".join(orders))),
    (tuple(map(foldings.folded, words)), re.compile(foreign)),
    (
      ("ignore", "disregard", "forget"),
      re.compile(_IGNORING.format(near=near)),
    ),
  )


def _folded_pattern(pattern: str) -> str:
  """A pattern with its letters folded, but for its escapes and fields."""
  parts = re.split(r"(\\b|\{near\}|\(\?:)", pattern)
  return "".join(
    part if index % 2 else foldings.folded(part)
    for index, part in enumerate(parts)
  )


def _utf8(decode: Callable[[str], bytes], text: str) -> str:
  try:
    return decode(text).decode("utf-8", errors="replace")
  except (ValueError, binascii.Error):
    return ""
