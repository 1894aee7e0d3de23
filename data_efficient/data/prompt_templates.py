# SPDX-License-Identifier: Apache-2.0
"""Templates with {features} of a record, as data in gin files.

  'Premise: {premise}\nHypothesis: {hypothesis}\nAnswer:'

A feature within another, or within a list, is reached by slashes:
{question/stem}. There is no other syntax, and no code is run.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_FIELD = re.compile(r"\{([A-Za-z0-9_/-]+)\}")


class Part(NamedTuple):
  """A piece of a template: text as it is, or the name of a feature."""

  text: str
  is_feature: bool


class TemplateError(ValueError):
  """A template that cannot be filled."""


def parts(template: str) -> Iterator[Part]:
  """Text and features of a template, in their order.

  Raises:
    TemplateError: a brace that is part of no {feature}.
  """
  for number, text in enumerate(_FIELD.split(template)):
    if number % 2:
      yield Part(text, True)
      continue
    if set(text) & set("{}"):
      raise TemplateError(
        f"template {template!r}: {text!r} has a brace of no {{feature}}; names"
        " of features have letters, digits, _, - and /"
      )
    if text:
      yield Part(text, False)
