# SPDX-License-Identifier: Apache-2.0
"""What each sampler kept and dropped, as text to look at.

The text is the corpus's and not to be trusted: `markup` escapes it, shows
what is invisible, and trims it.
"""

from collections.abc import Mapping, Sequence

from data_efficient.evaluation import markup, names
from data_efficient.evaluation.markup import Html, element

_CHARACTERS = 480
_LINES = 10
_IDENTIFIER = 120


def section(examples: Mapping[str, Mapping[str, Sequence[Mapping]]]) -> Html:
  """A folded pair of lists a sampler.

  Args:
    examples: sampler -> {"kept": [...], "dropped": [...]}, each example
      {"id", "source", "score", "text"} and, if it says why it is shown
      ("highest", "threshold", "lowest"), "where".
  """
  folded = [
    element(
      "details",
      element("summary", names.title(sampler)),
      element(
        "div",
        _list("Kept", sides.get("kept", ())),
        _list("Dropped", sides.get("dropped", ())),
        class_="pair",
      ),
    )
    for sampler, sides in sorted(
      examples.items(), key=lambda item: names.order(item[0], None)
    )
  ]
  return markup.join(*folded)


def _list(title: str, found: Sequence[Mapping]) -> Html:
  if not found:
    return element("div", element("h3", title), element("p", "None."))
  return element(
    "div", element("h3", title), *(_example(example) for example in found)
  )


def _example(example: Mapping) -> Html:
  shown = markup.excerpt(
    str(example["text"]), characters=_CHARACTERS, lines=_LINES
  )
  facts = [_score(example.get("score")), example.get("where")]
  facts += [_short(example.get("source")), _short(example.get("id"))]
  if shown.characters_left_out:
    facts.append(f"{shown.characters_left_out:,} more characters")
  return element(
    "div",
    element("p", " · ".join(f for f in facts if f), class_="soft"),
    element("pre", shown.text, dir="auto"),
    class_="example",
  )


def _score(score: float | int | None) -> str | None:
  return None if score is None else f"score {markup.number(score, 4)}"


def _short(words: object) -> str | None:
  if words is None or words == "":
    return None
  return markup.excerpt(str(words), characters=_IDENTIFIER, lines=1).text
