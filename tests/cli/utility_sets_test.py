# SPDX-License-Identifier: Apache-2.0
"""Examples in context, chosen one after the other by the verb `utility`."""

import json

import numpy as np
import pyarrow.parquet
import pytest

from data_efficient import main
from data_efficient.data import utility_sets
from data_efficient.data.utility_kernels import UtilityKernel
from data_efficient.scorers import set_utility
from tests import decoders

_WORDS = ("red", "blue", "two and two", "a fish", "the sea")
POOL = [
  {"instruction": f"Say {word}.", "output": word[::-1]} for word in _WORDS
]
# A copy of each, and what cannot be an example.
POOL += [*POOL, {"instruction": "Say nothing.", "output": ""}]
WORDS, COUNT = len(_WORDS), 2 * len(_WORDS)
TARGETS = [
  {"instruction": "Say green.", "output": "neerg"},
  # The answer of the second example, and its own.
  POOL[1],
  {"instruction": "Say a cat.", "output": "tac a"},
]
SIZES = {"MAX_TOKENS": 224, "MAX_EXAMPLE_TOKENS": 128, "EXAMPLE_TOKENS": 40}


def _lines(path, rows):
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  directory = tmp_path_factory.mktemp("sets")
  _lines(directory / "pool.jsonl", POOL)
  _lines(directory / "targets.jsonl", TARGETS)
  # This one's utilities are not all below 0.
  decoders.save(directory / "judge", seed=1)
  return directory


def _run(files, output, *gin_files, run="utility_sets", **bindings) -> int:
  bindings = {
    "POOL": f"{files}/pool.jsonl",
    "TARGETS": f"{files}/targets.jsonl",
    "JUDGE_CHECKPOINT": f"{files}/judge",
    "OUTPUT": str(output),
    "BATCH_TOKENS": 512,
    "EXAMPLES_AT_ONCE": 4,
    **SIZES,
    **({"SET_SIZE": 2, "CLIP": True} if run == "utility_sets" else {}),
  } | bindings
  if run == "utility":
    del bindings["EXAMPLE_TOKENS"]
  names = (f"gin/runs/{run}.gin", "gin/scorers/templates/bare.gin", *gin_files)
  return main.main(
    [
      "utility",
      *(f"--gin_file={name}" for name in names),
      *(f"--gin.{name}={value!r}" for name, value in bindings.items()),
    ]
  )


@pytest.fixture(scope="module")
def chosen(files):
  assert _run(files, files / "chosen") == 0
  return files / "chosen"


def _candidates(directory, step):
  table = pyarrow.parquet.read_table(
    directory / f"candidates-{step:04d}.parquet"
  )
  return table.to_pydict()


def test_the_first_step_is_the_kernel_s_columns(files, chosen, tmp_path):
  sizes = {"MAX_EXAMPLE_TOKENS": 40, "MAX_TOKENS": 136}
  assert _run(files, tmp_path / "kernel", run="utility", **sizes) == 0
  kernel = UtilityKernel.open(tmp_path / "kernel")
  found = _candidates(chosen, 0)
  assert found["example"] == [*range(COUNT)]
  expected = kernel.read().mean(axis=0)[:COUNT]
  np.testing.assert_allclose(found["worth"], expected, atol=1e-5)
  steps, _ = utility_sets.read(chosen)
  assert steps[0].chosen == int(np.argmax(expected))
  # What was chosen by a kernel has the others no more.
  some = {"SHORTLIST": 2, "KERNEL": str(tmp_path / "kernel")}
  assert _run(files, tmp_path / "short", SET_SIZE=1, **some) == 0
  best = set(np.argsort(-expected, kind="stable")[:2].tolist())
  assert set(_candidates(tmp_path / "short", 0)["example"]) == best


def test_each_step_takes_the_best_that_is_left(chosen):
  steps, summary = utility_sets.read(chosen)
  assert summary["order"] == [step.chosen for step in steps]
  assert len(steps) == 2 or summary["stopped"] == "no candidate adds anything"
  taken = []
  for number, step in enumerate(steps):
    found = _candidates(chosen, number)
    # Neither what is chosen, nor its copy.
    assert {n % WORDS for n in taken}.isdisjoint(
      n % WORDS for n in found["example"]
    )
    best = int(np.argmax(found["worth"]))
    assert found["example"][best] == step.chosen
    assert step.worth == found["worth"][best] > 0
    taken.append(step.chosen)
    assert step.shown.tolist() == [
      False,
      1 in taken or 1 + WORDS in taken,
      False,
    ]


def _bytes(directory):
  return {
    path.name: path.read_bytes()
    for path in directory.iterdir()
    if path.name not in ("cost.json", ".lock")
  }


def test_a_choice_that_is_stopped_goes_on(
  files, chosen, tmp_path, monkeypatch, capsys
):
  gains, calls = set_utility.InContext.gains, []

  def stopped(self, *arguments, **words):
    calls.append(0)
    if len(calls) == 2:
      raise KeyboardInterrupt
    return gains(self, *arguments, **words)

  monkeypatch.setattr(set_utility.InContext, "gains", stopped)
  assert _run(files, tmp_path / "k") == 130
  monkeypatch.undo()
  assert _run(files, tmp_path / "k") == 0
  assert _bytes(tmp_path / "k") == _bytes(chosen)
  capsys.readouterr()
  assert _run(files, tmp_path / "k") == 0
  assert "done before" in capsys.readouterr().out
  assert _run(files, tmp_path / "k", SET_SIZE=3) == 2
  assert "sets.count" in capsys.readouterr().err


def test_a_template_that_ignores_examples_stops_at_once(
  files, tmp_path, capsys
):
  useless = tmp_path / "useless.gin"
  useless.write_text(
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.scorers import templates\n"
    "bare/templates.Template:\n  example = 'Z'\n  alone = 'Z'\n"
    "  query_alone = '\\n\\n{prompt}\\n'\n"
  )
  assert _run(files, tmp_path / "k", str(useless)) == 0
  steps, summary = utility_sets.read(tmp_path / "k")
  assert steps == [] and summary["stopped"] == "no candidate adds anything"
  assert set(_candidates(tmp_path / "k", 0)["worth"]) == {0.0}


def test_a_context_that_is_full(files, tmp_path):
  sizes = {"MAX_EXAMPLE_TOKENS": 40, "MAX_TOKENS": 136}
  assert _run(files, tmp_path / "k", SEPARATOR="-" * 40, **sizes) == 0
  steps, summary = utility_sets.read(tmp_path / "k")
  assert len(steps) == 1 and "MAX_EXAMPLE_TOKENS" in summary["stopped"]


def test_a_set_or_an_approximation(files, tmp_path, capsys):
  made = "from __gin__ import dynamic_registration\n" + (
    "from tests.scorers import embedded\nEMBEDDER = @embedded.Embedder()\n"
  )
  (tmp_path / "embedder.gin").write_text(made)
  more = str(tmp_path / "embedder.gin"), "gin/scorers/utility_neighbours.gin"
  assert _run(files, tmp_path / "k", *more) == 2
  assert "bind one of them" in capsys.readouterr().err
