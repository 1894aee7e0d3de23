# SPDX-License-Identifier: Apache-2.0
"""The verb `audit`: how far can a document steer this judge?

Documents are scored as they are and with every attack of `data.hostile` in
them, under each defence; labelled sets say what the defence costs.
"""

import dataclasses
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_efficient import progress
from data_efficient.cli import audit_texts, cost, hardware
from data_efficient.data import artifacts, hostile
from data_efficient.evaluation import steering, steering_table
from data_efficient.scorers import ask_llm, defences, interface

_KIND = "audit"
_RESULT = "audit.json"
_BLOCK = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
  """A way to ask a judge.

  Attributes:
    name: in tables.
    steps: of the defence (`defences.STEPS`).
    windows: what is judged of a long document (`ask_llm.Windows`).
  """

  name: str
  steps: Sequence[str]
  windows: str

  def of(self, scorer: ask_llm.AskLlm) -> ask_llm.AskLlm:
    """The scorer that asks so."""
    question = dataclasses.replace(
      scorer.question, defence=defences.Defence(steps=self.steps)
    )
    return dataclasses.replace(scorer, question=question, windows=self.windows)


def audit(
  *,
  scorer: ask_llm.AskLlm,
  documents: str | Sequence[str],
  labelled: Mapping[str, str],
  count: int,
  text_count: int,
  variants: Sequence[Variant],
  resamples: int,
  seed: int,
  output: str,
) -> None:
  """Writes OUTPUT/audit.json and prints it; a variant is a unit of resume.

  Args:
    scorer: the judge and its question.
    documents: a glob of files, or several: some of their records are attacked.
    labelled: name to a glob of files with fields `text` and `label`, where 1
      is a good text.
    count: documents that are attacked.
    text_count: texts of a labelled set at most; and of the documents, to see
      how many a defence changes.
    variants: the first has no defence; the others are compared with it.
    resamples: bootstrap samples.
    seed: of all samples.
    output: directory.

  Raises:
    ValueError: see `CorpusError` and `ArtifactError`; or the first variant
      has a defence.
  """
  if not variants or variants[0].steps:
    raise ValueError("variants: the first one must have no steps")
  bare = variants[0].of(scorer)
  texts = audit_texts.read(
    bare.question,
    documents=documents,
    labelled=labelled,
    count=count,
    text_count=text_count,
    seed=seed,
  )
  identity = {
    "scorer": bare.identity(),
    "texts": texts.identity,
    "count": count,
    "text_count": text_count,
    "variants": {
      variant.name: _described(variant, scorer) for variant in variants
    },
    "attacks": [f"{a.payload}@{a.place}" for a in texts.attacks],
    "resamples": resamples,
    "seed": seed,
    "numerics": hardware.numerics(),
  }
  with artifacts.Writer(output, kind=_KIND, identity=identity) as writer:
    if writer.complete:
      print(f"{output}: done before")
    else:
      with cost.measured(output):
        for variant in variants:
          if not writer.has(_part(variant)):
            measured = _measured(variant, scorer, texts)
            writer.write_bytes(_part(variant), json.dumps(measured).encode())
      found = _assembled(
        writer.manifest, variants, scorer, texts, resamples, seed
      )
      found = {
        "judge": scorer.judge.identity(),
        "documents": len(texts.clean),
        "identity": {
          key: identity[key] for key in ("count", "text_count", "seed")
        },
        **found,
      }
      if not writer.has(_RESULT):
        writer.write_bytes(_RESULT, steering_table.text(found).encode())
      writer.finish()
  print(steering_table.table(json.loads(artifacts.read_bytes(output, _RESULT))))


def _part(variant: Variant) -> str:
  return f"{variant.name}.json"


def _described(variant: Variant, scorer: ask_llm.AskLlm) -> dict[str, Any]:
  asked = variant.of(scorer)
  return {
    "defence": asked.question.defence.identity(),
    "windows": str(asked.windows),
  }


def _measured(
  variant: Variant, scorer: ask_llm.AskLlm, texts: audit_texts.Texts
) -> dict[str, Any]:
  """All answers under one variant, and what they cost."""
  asked = variant.of(scorer)
  # All at once: a batch of few texts costs as much as a full one.
  steered = list(itertools.chain(texts.clean, *texts.attacked))
  total = len(steered) + sum(map(len, texts.labelled.values()))
  with progress.bar(f"audit {variant.name}", total=total) as advance:
    scores = _scores(asked, steered, advance)
    start = time.perf_counter()
    labelled = {
      name: _scores(asked, some, advance)
      for name, some in texts.labelled.items()
    }
    seconds = time.perf_counter() - start
  size, count = len(texts.clean), sum(map(len, texts.labelled.values()))
  return {
    "clean": scores[:size],
    "attacked": [
      scores[start : start + size] for start in range(size, len(scores), size)
    ],
    "labelled": labelled,
    "seconds_per_1000": 1000 * seconds / count if count else None,
    "milliseconds_of_cleaning": _cleaning(asked, texts.whole),
    "broken": _broken(asked),
  }


def _scores(asked: ask_llm.AskLlm, texts: Sequence[str], advance) -> list:
  """log P(yes) of each text; None for what has none."""
  found: list[float | None] = []
  for start in range(0, len(texts), _BLOCK):
    block = texts[start : start + _BLOCK]
    scores = asked.score(block)
    found += [
      float(value) if status == interface.SCORED else None
      for value, status in zip(
        scores.columns["score"], scores.statuses, strict=True
      )
    ]
    advance(len(block))
  return found


def _cleaning(asked: ask_llm.AskLlm, texts: Sequence[str]) -> float:
  """Milliseconds a text of making the judge's input, the defence included."""
  start = time.perf_counter()
  for text in texts:
    asked.question.document(text)
  return 1000 * (time.perf_counter() - start) / len(texts)


def _broken(asked: ask_llm.AskLlm) -> dict[str, list]:
  """Status and seconds of each broken text, alone."""
  found = {}
  for name, text in hostile.broken().items():
    start = time.perf_counter()
    status = asked.score([text]).statuses[0]
    found[name] = [status, round(time.perf_counter() - start, 2)]
  return found


def _assembled(
  manifest: artifacts.Manifest,
  variants: Sequence[Variant],
  scorer: ask_llm.AskLlm,
  texts: audit_texts.Texts,
  resamples: int,
  seed: int,
) -> dict[str, Any]:
  parts = {
    variant.name: json.loads(manifest.read_bytes(_part(variant)))
    for variant in variants
  }
  answers = {name: _answers(part) for name, part in parts.items()}
  found, payloads = {}, {attack.payload: {} for attack in texts.attacks}
  for variant in variants:
    part = parts[variant.name]
    figures = steering.figures(
      answers[variant.name],
      answers[variants[0].name],
      payloads=[attack.payload for attack in texts.attacks],
      places=[str(attack.place) for attack in texts.attacks],
      labels=texts.labels,
      resamples=resamples,
      seed=seed,
    )
    for payload, facts in figures.pop("payloads").items():
      payloads[payload][variant.name] = list(facts.values())
    found[variant.name] = {
      "steps": list(variant.steps),
      "windows": variant.windows,
      "seconds_per_1000": part["seconds_per_1000"],
      "milliseconds_of_cleaning": round(part["milliseconds_of_cleaning"], 2),
      "slowest_broken_text": max(facts[1] for facts in part["broken"].values()),
      **_changed(variant, scorer, texts),
      **figures,
    }
  return {
    "variants": found,
    "payloads_columns": ["n", "median", "quartiles", "rises"],
    "payloads": payloads,
  }


def _changed(
  variant: Variant, scorer: ask_llm.AskLlm, texts: audit_texts.Texts
) -> dict[str, Any]:
  """Shares of texts of whose heads the judge sees something else.

  For a labelled set: those of the good and of the other texts, added. No
  judge's AUC changes by more, since all other pairs are scored as before;
  nothing is known where more than heads are judged.
  """
  asked = variant.of(scorer).question
  plain = dataclasses.replace(asked, defence=defences.Defence(steps=()))

  def changed(some: Sequence[str]) -> np.ndarray:
    return np.array([asked.document(t) != plain.document(t) for t in some])

  found = {"documents_changed": round(float(changed(texts.whole).mean()), 4)}
  if variant.windows == ask_llm.Windows.HEAD:
    found["auc_changes_at_most"] = {
      name: _limit(changed(some), texts.labels[name])
      for name, some in texts.labelled.items()
    }
  return found


def _limit(changed: np.ndarray, good: np.ndarray) -> float:
  return round(float(changed[good].mean() + changed[~good].mean()), 4)


def _answers(part: Mapping[str, Any]) -> steering.Answers:
  return steering.Answers(
    np.array(part["clean"], np.float64),
    np.array(part["attacked"], np.float64),
    {
      name: np.array(scores, np.float64)
      for name, scores in part["labelled"].items()
    },
  )
