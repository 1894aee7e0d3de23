# SPDX-License-Identifier: Apache-2.0
"""The texts of an audit: passages to attack, labelled sets, broken ones."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_efficient.data import file_corpus, hostile
from data_efficient.scorers.questions import Question

# What is shorter is no document to attack, characters.
_SHORTEST = 100
_GOOD = "1"
_SHRINK = 0.8


class Texts(NamedTuple):
  """All that a judge is asked about.

  Attributes:
    clean: passages, half as long as the judge's window at most, so that it
      sees what is put at their end.
    attacks: in the order of `attacked`.
    attacked: for each attack, the passages with it.
    whole: documents, more of them, as they are.
    labelled: set to its texts.
    labels: set to bool [texts], whether each is a good one.
    identity: where all of them come from, JSON-able.
  """

  clean: list[str]
  attacks: tuple[hostile.Attack, ...]
  attacked: list[list[str]]
  whole: list[str]
  labelled: dict[str, list[str]]
  labels: dict[str, np.ndarray]
  identity: dict[str, Any]


def read(
  question: Question,
  *,
  documents: str | Sequence[str],
  labelled: Mapping[str, str],
  count: int,
  text_count: int,
  seed: int,
) -> Texts:
  """Samples the texts; the same for the same seed and files.

  Raises:
    CorpusError: a file is missing or damaged.
    ValueError: too few documents, or a labelled set without both labels.
  """
  corpus = file_corpus.Files(pattern=documents)
  identity = {"documents": corpus.identity(), "labelled": {}}
  long = [text for text, _ in _rows(corpus) if len(text) >= _SHORTEST]
  whole = _sample(long, text_count, seed)
  if not whole:
    raise ValueError(
      f"{documents}: no document of {_SHORTEST} characters or more"
    )
  clean = [_passage(text, question) for text in _sample(whole, count, seed)]
  attacks = hostile.attacks(question.prompt)
  generator = np.random.default_rng(seed)
  attacked = [[attack(text, generator) for text in clean] for attack in attacks]
  texts, labels = {}, {}
  for name, pattern in labelled.items():
    rows = file_corpus.Files(pattern=pattern, group_field="label")
    identity["labelled"][name] = rows.identity()
    found = _sample(list(_rows(rows)), text_count, seed)
    texts[name] = [text for text, _ in found]
    labels[name] = np.array([label == _GOOD for _, label in found])
    if labels[name].all() or not labels[name].any():
      raise ValueError(
        f"{pattern}: expected texts with label {_GOOD} (good) and others"
      )
  return Texts(clean, attacks, attacked, whole, texts, labels, identity)


def _rows(corpus: file_corpus.Files):
  for shard in corpus.shards():
    for record in corpus.read(shard):
      if record.text.strip():
        yield record.text, record.group


def _sample(rows: list, count: int, seed: int) -> list:
  order = np.random.default_rng(seed).permutation(len(rows))[:count]
  return [rows[place] for place in np.sort(order)]


def _passage(text: str, question: Question) -> str:
  """The head of a document that takes half of the judge's window."""
  text = text.strip()
  while len(question.document(text)) > max(1, question.document_tokens // 2):
    text = text[: int(len(text) * _SHRINK)].rstrip()
  return text
