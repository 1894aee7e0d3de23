# SPDX-License-Identifier: Apache-2.0
"""Prompts as data: what stands before the document, and what after it.

The document is cut before it is put between the two, so that the question
always survives (Sachdeva et al. 2024, arXiv 2402.09668, Figure 3).
"""

import dataclasses
import re

# The paper's prompt, one line a paragraph, nothing after the last option.
_ASK_LLM_QUESTION = (
  "Does the previous paragraph demarcated within ### and ### contain "
  "informative signal for pre-training a large-language model? An "
  "informative datapoint should be well-formatted, contain some usable "
  "knowledge of the world, and strictly NOT have any harmful, racist, "
  "sexist, etc. content."
)

# Number signs in all widths: vocabularies fold them into one (NFKC).
_MARKER = re.compile("[#\N{FULLWIDTH NUMBER SIGN}\N{SMALL NUMBER SIGN}]{3,}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
  """A template around a document, and the answers that are asked for.

  Attributes:
    before: text in front of the document.
    after: text behind it; it holds the question.
    positive: the answer whose probability is the score.
    negative: the answer that is stored beside it.
  """

  before: str
  after: str
  positive: str
  negative: str

  def neutralised(self, document: str) -> str:
    """The document without the markers that would end it early.

    Runs of three or more "#" become "##": a heading stays a heading, and
    nothing inside the document can close the paragraph under judgement.
    """
    return _MARKER.sub("##", document)

  def text(self, document: str) -> str:
    """The whole prompt for a document that needs no cut."""
    return self.before + self.neutralised(document) + self.after


def ask_llm() -> Prompt:
  """The paper's prompt (Figure 3), for encoder-decoder judges."""
  return Prompt(
    before="###\n",
    after=f"\n###\n\n{_ASK_LLM_QUESTION}\n\nOPTIONS:\n- yes\n- no",
    positive="yes",
    negative="no",
  )
