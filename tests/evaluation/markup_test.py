# SPDX-License-Identifier: Apache-2.0
import html
import html.parser
import unicodedata

import pytest

from data_efficient.evaluation import markup
from tests.evaluation import fakes


def test_children_and_attributes_are_escaped():
  found = markup.element("p", "<b>", "&", title='"><script>', class_="a")
  assert found == (
    '<p title="&quot;&gt;&lt;script&gt;" class="a">&lt;b&gt;&amp;</p>'
  )


def test_markup_is_not_escaped_twice():
  inner = markup.element("b", "a<b")
  assert markup.element("p", inner) == "<p><b>a&lt;b</b></p>"
  assert markup.join(inner, "<") == "<b>a&lt;b</b>&lt;"


def test_plain_text_made_from_markup_is_escaped_again():
  # Slicing or formatting forgets that a text was markup: the safe side.
  inner = markup.element("b", "x")
  assert markup.element("p", inner[:3]) == "<p>&lt;b&gt;</p>"


def test_void_elements_and_missing_attributes():
  assert markup.element("meta", name="a", content=None) == '<meta name="a">'


@pytest.mark.parametrize("code", [0, 0x1B, 0x202E, 0x2066, 0x200B, 0xFEFF])
def test_the_invisible_is_shown(code):
  assert markup.visible(f"a{chr(code)}b") == f"a⟦U+{code:04X}⟧b"


def test_lone_surrogates_can_be_written():
  markup.visible("\ud800").encode("utf-8")


def test_ordinary_text_stays():
  text = "naïve Σ 日本語 שלום 👩\u200d🔬\n\ttab"
  assert markup.visible(text) == text
  assert markup.visible("a\r\nb\u2028c") == "a\nb\nc"


def test_escaped_text_reads_back_as_what_is_visible():
  for text in (fakes.HOSTILE, "&lt;", "a' b\" <c>"):
    assert html.unescape(markup.escape(text)) == markup.visible(text)


def test_every_character_is_safe():
  everything = "".join(map(chr, range(0x3000)))
  shown = markup.escape(everything)
  assert "<" not in shown and ">" not in shown
  kinds = {
    unicodedata.category(c) for c in shown if c not in "\n\t\u200c\u200d"
  }
  assert not kinds & {"Cc", "Cf", "Cs", "Co", "Cn"}


def test_excerpt_trims_characters_and_lines():
  found = markup.excerpt("  abcdef  ", characters=4, lines=3)
  assert found == ("abcd", 2)
  found = markup.excerpt("a\nb\nc\nd", characters=100, lines=2)
  assert found == ("a\nb", 4)


def test_numbers():
  assert markup.number(-1234.5678) == "−1,234.568"
  assert markup.number(None) == "–"
  assert markup.number(float("nan")) == "–"
  assert markup.signed(0.25) == "+0.250"
  assert markup.signed(-0.25, 1) == "−0.2"
  assert markup.percent(0.2) == "20%"
  assert markup.duration(4.14) == "4.1 s"
  assert markup.duration(90) == "90 s"
  assert markup.duration(150.0) == "2.5 min"
