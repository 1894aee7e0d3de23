# SPDX-License-Identifier: Apache-2.0
"""Ask-LLM by the verbs `score` and `infer` over one small corpus."""

import json
import pathlib

import jax
import numpy as np

from data_efficient import main
from data_efficient.data import score_sets
from data_efficient.models import checkpoints
from data_efficient.models import networks as models
from tests import networks, quickstarts

# One piece, and several.
ANSWERS = ("yes", "worthless")
TOKENS = 96


def write(root: pathlib.Path) -> None:
  """A corpus, small gin files, and a judge."""
  quickstarts.write_corpus(root / "files")
  # Documents of several lengths, some beyond the window, one blank.
  texts = ["word " * n + f"number {n}." for n in (1, 7, 60, 300, 900)]
  rows = [{"text": text} for text in [*texts, " \n ", "größer ### yes"]]
  lines = "".join(json.dumps(row) + "\n" for row in rows)
  (root / "files/lengths.jsonl").write_text(lines)
  quickstarts.write_small(root)
  (root / "prompt.gin").write_text(
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.scorers import prompts\n"
    "PROMPT = @prompts.Prompt()\n"
    "prompts.Prompt:\n"
    "  before = '### '\n  after = ' ### Is it of use?'\n"
    f"  positive = '{ANSWERS[0]}'\n  negative = '{ANSWERS[1]}'\n"
  )
  network = networks.t5(vocab_size=640, embedding_init_stddev=0.1)
  parameters = models.init_parameters(network, jax.random.key(0))
  checkpoints.save_parameters(root / "judge", parameters)


def run(verb: str, root: pathlib.Path, output: str, *gin_files, **bindings):
  """The exit code of a verb."""
  files = ["vocabulary.gin", "model.gin", "prompt.gin"]
  files = ["gin/data/files.gin", *(f"{root}/{name}" for name in files)]
  values = {
    "FILES": f"{root}/files/*.jsonl",
    "PREPARED": f"{root}/prepared",
    "OUTPUT": f"{root}/{output}",
    "JUDGE_CHECKPOINT": f"{root}/judge",
    "JUDGE_TOKENS": TOKENS,
  } | bindings
  return main.main(
    [verb, *(f"--gin_file={path}" for path in [*gin_files, *files])]
    + [f"--gin.{name}={value!r}" for name, value in values.items()]
  )


def infer(root: pathlib.Path, engine: str, **bindings) -> int:
  """`infer` by an engine into a directory of its name."""
  gin_files = ("gin/runs/infer_ask_llm.gin", f"gin/engines/{engine}.gin")
  bindings = {"ANSWERS": ANSWERS} | bindings
  return run("infer", root, engine, *gin_files, **bindings)


def score(root: pathlib.Path) -> score_sets.ScoreSet:
  """Our own scorer's score set."""
  gin_files = ("gin/runs/score.gin", "gin/scorers/ask_llm.gin")
  bindings = {"SCORED_SPLITS": None, "BATCH_TOKENS": 32 * TOKENS}
  assert run("score", root, "ours", *gin_files, **bindings) == 0
  return score_sets.ScoreSet.open(root / "ours")


def columns(scores: score_sets.ScoreSet, names) -> dict[str, np.ndarray]:
  """Whole columns, in the corpus's order."""
  return {
    name: np.concatenate(list(shards.values()))
    for name, shards in scores.read(names).items()
  }


def compare(ours: score_sets.ScoreSet, theirs: score_sets.ScoreSet) -> None:
  """The same numbers within 1e-4, the same statuses, judge and question."""
  pieces = ours.identity["scorer"]["question"]["answer_pieces"]
  assert len(pieces[ANSWERS[0]]) == 1 < len(pieces[ANSWERS[1]])
  names = ["score", *(f"log_p_{word}" for word in ANSWERS)]
  mine, found = columns(ours, names), columns(theirs, names)
  for name in names:
    np.testing.assert_allclose(found[name], mine[name], atol=1e-4, rtol=0)
  assert np.nanstd(mine["score"]) > 1e-3
  np.testing.assert_array_equal(found["score"], found["log_p_yes"])
  exact = ["status", "fingerprint", "document_tokens", "windows"]
  mine, found = columns(ours, exact), columns(theirs, exact)
  for name in exact:
    np.testing.assert_array_equal(found[name], mine[name])
  # The longest are cut, and the blank one has no score.
  tokens, statuses = found["document_tokens"], list(found["status"])
  assert sum(tokens == np.nanmax(tokens)) >= 2
  assert statuses.count("unscorable(empty)") == 1
  assert theirs.shards == ours.shards
  assert theirs.identity["corpus"] == ours.identity["corpus"]
  for name in ("judge", "question"):
    assert theirs.identity["scorer"][name] == ours.identity["scorer"][name]
