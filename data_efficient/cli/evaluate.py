# SPDX-License-Identifier: Apache-2.0
"""The verb `evaluate`: an experiment's directories to results.json."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from data_efficient.cli import agreement as score_files
from data_efficient.cli import cost, pool
from data_efficient.data import prepared, score_sets, selections
from data_efficient.evaluation import (
  admission,
  agreement,
  results,
  runs,
  separation,
)
from data_efficient.training import metrics

_TOP_SOURCES = 20
# `training.teaching` calls it so; to import that is to import TensorFlow.
_HELD_OUT = "held_out"


def evaluate(
  *,
  corpus: prepared.Prepared,
  experiment: str,
  samplers: Sequence[str] | None,
  scores: Mapping[str, str],
  stages: Mapping[str, Mapping[str, str]],
  judged: Mapping[str, str],
  command: str,
) -> None:
  """Writes EXPERIMENT/results.json; every figure comes from files.

  Args:
    corpus: what was scored, and what the runs were trained on.
    experiment: directory with runs/, of one network or of several, and
      selections/.
    samplers: whose runs and selections are compared; None: all that are there.
    scores: sampler -> its score set (in the experiment); how alike they rank
      the pool is reported too.
    stages: sampler -> stage -> directory (in the experiment) whose cost it is.
      A stage that two samplers need stands with both: the sum is what a
      sampler would have cost alone. Where one was not measured, what the
      sampler costs is not known, and said so.
    judged: what a table calls a scorer -> its score set (in the experiment),
      for how well the score tells evaluation sets from the pool.
    command: what reproduces the experiment.

  Raises:
    ValueError: see `EvaluationError` and `ArtifactError`; a run that cannot be
      compared is left out, and only where none is left an error.
  """
  root = pathlib.Path(experiment)
  found = results.assemble(
    runs.find(root / "runs", samplers) + admission.unfinished(root / "runs"),
    judge=_judge(corpus, root, scores, judged, stages),
    scoring_seconds=_scoring(root, stages),
    corpus=_corpus(corpus),
    selections=_selections(corpus, root, samplers, _density(stages)),
    command=command,
    commit=cost.commit(),
    agreement=_agreement(corpus, root, scores),
  )
  _print_notes(found)
  results.write(root / "results.json", found)
  print(root / "results.json")


def _scoring(
  root: pathlib.Path, stages: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, float]]:
  """Seconds of each sampler's stages, of those that were all measured."""
  found = {}
  for sampler, places in stages.items():
    missing = [p for p in places.values() if not cost.is_measured(root / p)]
    if missing:
      print(
        f"cost of scoring not known: {sampler}: no {cost.FILE} in "
        f"{', '.join(str(root / place) for place in missing)}"
      )
      continue
    found[sampler] = {
      stage: cost.seconds(root / place) for stage, place in places.items()
    }
  return found


def _print_notes(found: Mapping) -> None:
  """What a reader of the figures must know, a line each."""
  for entry in found["left_out"]:
    print(f"left out: {entry['directory']}: {entry['reason']}")
  for entry in found["random_missing"]:
    print(f"no Random: {entry['reason']}")
  if unknown := found["corpus_unknown"]:
    print(
      f"corpus not stated by {len(unknown)} runs ({', '.join(unknown[:5])}"
      f"{', …' if len(unknown) > 5 else ''}): counted as of this one, as they "
      "agree with its runs in evaluation sets and all else"
    )


def _agreement(
  corpus: prepared.Prepared, root: pathlib.Path, scores: Mapping[str, str]
) -> dict:
  """How alike the samplers' score sets rank the pool; each set once."""
  first = {place: sampler for sampler, place in reversed(scores.items())}
  mask = corpus.mask(["pool"])

  def of_pool(place: str) -> np.ndarray:
    found = score_files.read(corpus, root / place)
    return np.concatenate([found[shard][mask[shard]] for shard in mask])

  return agreement.matrix(
    {
      sampler: of_pool(place)
      for sampler, place in scores.items()
      if first[place] == sampler
    }
  )


def _judge(corpus, root: pathlib.Path, scores, judged, stages) -> dict:
  facts = {"auc": {}, "kinds": {}}
  asked = {}
  for sampler, name in scores.items():
    scorer = score_sets.ScoreSet.open(root / name).identity["scorer"]
    if judge := scorer.get("judge"):
      facts["kinds"][sampler] = judge["kind"]
      # What is asked a question is a judge; what is not is a language model.
      if "question" in scorer:
        asked[judge["kind"]] = True
  if asked:
    facts["name"] = ", ".join(asked)
  for words, name in judged.items():
    values = score_sets.ScoreSet.open(root / name).read(["score"])["score"]
    facts["auc"] |= _separation(corpus, values, words)
  for name in {place for names in stages.values() for place in names.values()}:
    facts |= _lesson(root / name)
  return facts


def _lesson(directory: pathlib.Path) -> dict:
  """How well a judge that was taught here answers what it was not taught."""
  rows = metrics.read(directory)
  held_out = [row for row in rows if row.get("evaluation") == _HELD_OUT]
  if not held_out:
    return {}
  last = held_out[-1]
  return {
    "held_out_accuracy": last["accuracy"],
    "teaching_steps": last["step"],
  }


def _separation(corpus, scores, words: str) -> dict[str, float]:
  """AUC of telling HQ text from the pool, and from in-distribution text."""

  def values(split: str):
    mask = corpus.mask([split])
    return [scores[shard][mask[shard]] for shard in mask]

  return {
    f"{words}: HQ against {label}": separation.auc(values("hq"), values(split))
    for split, label in (
      ("in_distribution", "in-distribution text"),
      ("pool", "the pool"),
    )
    if any(len(found) for found in values("hq"))
  }


def _density(stages: Mapping[str, Mapping[str, str]]) -> str | None:
  """The densities that some sampler reads, if one does."""
  for places in stages.values():
    if "density" in places:
      return places["density"]
  return None


def _corpus(corpus: prepared.Prepared) -> dict:
  return {
    "name": corpus.index.name,
    "fingerprint": corpus.index.fingerprint,
    "records": corpus.index.records,
    "splits": corpus.splits.summary["records"],
    "excluded": corpus.splits.summary["excluded"],
    "sources": _largest(pool.sources(corpus)),
  }


def _largest(sources: Mapping[str, int]) -> dict[str, int]:
  ordered = sorted(sources.items(), key=lambda item: (-item[1], item[0]))
  return dict(ordered[:_TOP_SOURCES])


def _selections(
  corpus,
  root: pathlib.Path,
  samplers: Sequence[str] | None,
  density: str | None,
) -> dict[str, dict]:
  groups = pool.Groups(corpus, root / density if density else None)
  found = {}
  for path in sorted(root.glob("selections/*/manifest.json")):
    selection = selections.Selection.open(path.parent)
    summary, identity = selection.summary, selection.identity
    if samplers is not None and identity["sampler"] not in samplers:
      continue
    found[path.parent.name] = {
      "sampler": identity["sampler"],
      "budget": identity["budget"]["amount"],
      "seed": identity["seed"],
      "kept_records": summary["kept_records"],
      "kept_tokens": summary.get("kept_tokens"),
      "threshold": summary["threshold"],
      "weight_max": summary.get("weight_ratio"),
      "weight_min": 1.0 if summary.get("weight_ratio") else None,
      "effective_sample_size": summary.get("effective_sample_size"),
      "effective_share": summary.get("effective_sample_share"),
      "sources": summary["sources"],
      "inclusion": groups.inclusion(selection),
    }
  return found
