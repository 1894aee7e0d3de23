# SPDX-License-Identifier: Apache-2.0
"""HTML and SVG that cannot be broken by the text inside.

Text of a corpus is hostile: tags, control characters, characters that turn
the direction of what follows, lines without end. `element` escapes every
child and attribute that is not `Html` already, so nothing gets through by
being forgotten; `excerpt` makes invisible characters visible and trims.
"""

import html
import math
import unicodedata
from typing import NamedTuple


class Html(str):
  """Text that is markup already; made by this module's functions only."""

  __slots__ = ()


class Excerpt(NamedTuple):
  """The beginning of a text, safe to look at, and how much was left out."""

  text: str
  characters_left_out: int


_VOID = frozenset({"meta", "br", "hr"})
# Joiners that scripts and emoji need; all other format characters are shown.
_HARMLESS = frozenset("\u200c\u200d")
# Cc control, Cf format (bidi overrides, zero width), Cs lone surrogates,
# Co private use, Cn unassigned.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def element(name: str, /, *children: str, **attributes: object) -> Html:
  """One element; children and attributes are escaped unless they are `Html`.

  A trailing `_` of an attribute's name is dropped (`class_`), others become
  `-`; an attribute that is None is left out.
  """
  written = "".join(
    f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
    for key, value in attributes.items()
    if value is not None
  )
  if name in _VOID:
    return Html(f"<{name}{written}>")
  return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: str) -> Html:
  """Children one after the other, each escaped unless it is `Html`."""
  return Html(
    "".join(c if isinstance(c, Html) else escape(c) for c in children)
  )


def escape(text: str) -> Html:
  """Text as HTML shows it: `& < > " '` escaped, the invisible made visible."""
  return Html(html.escape(visible(text), quote=True))


def visible(text: str) -> str:
  """Replaces characters that hide or reorder text by their code, ⟦U+202E⟧.

  Line feeds and tabs stay; carriage returns before a line feed go.
  """
  if text.isprintable():  # nearly always: no line end, nothing invisible
    return text
  text = text.replace("\r\n", "\n")
  return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
  if character in "\n\t" or character in _HARMLESS:
    return character
  if character in "\u2028\u2029":
    return "\n"
  if unicodedata.category(character) in _INVISIBLE:
    return f"⟦U+{ord(character):04X}⟧"
  return character


def excerpt(text: str, *, characters: int, lines: int) -> Excerpt:
  """The first characters and lines of a text, ends stripped.

  Trimmed before it is made visible: what is left out never costs anything.
  """
  text = text.strip()
  shown = "\n".join(text[:characters].split("\n")[:lines]).rstrip()
  return Excerpt(shown, len(text) - len(shown))


def number(value: float | int | None, digits: int = 3) -> str:
  """A number with a true minus, thousands separated; – where there is none."""
  if value is None or not math.isfinite(value):
    return "–"
  return f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float | int | None, digits: int = 3) -> str:
  """As `number`, with a + before what is above 0."""
  if value is None or not math.isfinite(value):
    return "–"
  return f"{value:+,.{digits}f}".replace("-", "−")


def percent(share: float | int | None, digits: int = 0) -> str:
  """A share of one as a percentage."""
  return "–" if share is None else number(100.0 * share, digits) + "%"


def duration(seconds: float | int | None) -> str:
  """Seconds; minutes from two minutes on."""
  if seconds is None:
    return "–"
  if seconds < 120:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
  return f"{seconds / 60:,.1f} min"
