# SPDX-License-Identifier: Apache-2.0
"""The verb `utility`, from files of instructions to a kernel."""

import contextlib
import io
import json
import re

import numpy as np
import pytest

from data_efficient import main
from data_efficient.data import corpus_index, instructions, selections
from data_efficient.data.utility_blocks import PairStatus
from data_efficient.data.utility_kernels import UtilityKernel
from data_efficient.scorers import pairwise_utility
from tests import decoders

POOL = [
  {"instruction": "Add 2 and 2.", "output": "4"},
  {"instruction": "Name a colour.", "input": "not red", "output": "blue"},
  {"instruction": "Add 3 and 4.", "input": "", "output": "7"},
  {"instruction": "Say nothing.", "input": None, "output": ""},
  {"instruction": "Write on and on.", "output": "x" * 90},
  # Half of a pair of surrogates, and what looks like a field.
  {"instruction": "Repeat: {response}", "output": "\ud800 {prompt}"},
]
TARGETS = [
  {"instruction": "Add 5 and 1.", "output": "6"},
  {"instruction": "Name a colour.", "input": "not red", "output": "blue"},
]
# A letter is a token, and the template's own words are about a hundred.
WINDOW = {"MAX_TOKENS": 280, "MAX_EXAMPLE_TOKENS": 160}


def _lines(path, rows):
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  directory = tmp_path_factory.mktemp("utility")
  _lines(directory / "pool.jsonl", POOL)
  _lines(directory / "targets.jsonl", TARGETS)
  decoders.save(directory / "judge")
  return directory


def _run(files, output, **bindings) -> int:
  bindings = {
    "POOL": f"{files}/pool.jsonl",
    "JUDGE_CHECKPOINT": f"{files}/judge",
    "OUTPUT": str(output),
    "BLOCK": (4, 2),
    "BATCH_TOKENS": 384,
    **WINDOW,
  } | bindings
  return main.main(
    [
      "utility",
      *(f"--gin.{name}={value!r}" for name, value in bindings.items()),
    ]
  )


@pytest.fixture(scope="module")
def alone(files):
  """The pool against itself, that nobody stops."""
  said = io.StringIO()
  with contextlib.redirect_stdout(said):
    assert _run(files, files / "alone") == 0
  for line in (
    "1 of 6 examples are unscorable: empty response",
    "1 of 6 examples are cut to 160 tokens",
    "16 pairs of 6 targets and 6 examples scored",
  ):
    assert line in said.getvalue()
  return files / "alone"


def _bytes(directory):
  return {
    path.name: path.read_bytes()
    for path in directory.iterdir()
    if path.name not in ("cost.json", ".lock")
  }


def test_a_pool_against_itself(alone, files, capsys):
  kernel = UtilityKernel.open(alone)
  assert kernel.shape == (6, 6)
  assert kernel.targets.statuses == [
    *(["scored"] * 3),
    "unscorable(empty response)",
    "unscorable(too long)",
    "scored",
  ]
  statuses = kernel.statuses()
  assert [statuses[row, row] for row in range(6)] == [
    *([PairStatus.SELF] * 3),
    *([PairStatus.UNSCORABLE] * 2),
    PairStatus.SELF,
  ]
  # Too long an example is cut.
  assert (statuses[:3, 4] == PairStatus.SCORED).all()
  assert kernel.scored == 4 * 5 - 4 and kernel.non_finite == 0
  worth = kernel.read("raw")
  assert np.ptp(worth[2, [0, 1, 4, 5]]) > 1e-4  # examples differ
  assert json.loads((alone / "cost.json").read_text())["seconds"] > 0
  capsys.readouterr()
  assert _run(files, alone) == 0
  assert "done before" in capsys.readouterr().out


def test_other_targets_and_their_copies(alone, files, tmp_path):
  targets = f"{files}/targets.jsonl"
  assert _run(files, tmp_path / "k", TARGETS=targets) == 0
  kernel = UtilityKernel.open(tmp_path / "k")
  assert kernel.shape == (2, 6)
  expected = np.zeros((2, 6), int)
  expected[:, 3] = PairStatus.UNSCORABLE
  expected[1, 1] = PairStatus.DUPLICATE
  np.testing.assert_array_equal(kernel.statuses(), expected)
  whole = UtilityKernel.open(alone).read("raw")
  np.testing.assert_allclose(
    kernel.read("raw")[1, [0, 2, 4, 5]], whole[1, [0, 2, 4, 5]], atol=1e-5
  )


def test_a_run_that_is_stopped_inside_a_block_goes_on(
  alone, files, tmp_path, monkeypatch, capsys
):
  block, calls = pairwise_utility.PairwiseUtility.block, []

  def stopped(self, targets, examples, alone, advance):
    def note(pairs):
      calls.append(pairs)
      if len(calls) == 4:
        raise KeyboardInterrupt

    return block(self, targets, examples, alone, note)

  monkeypatch.setattr(pairwise_utility.PairwiseUtility, "block", stopped)
  assert _run(files, tmp_path / "k") == 130
  done = [p for p in (tmp_path / "k").glob("*.block")]
  assert 0 < len(done) < 6
  assert "the same command goes on" in capsys.readouterr().err
  monkeypatch.undo()
  assert _run(files, tmp_path / "k") == 0
  assert _bytes(tmp_path / "k") == _bytes(alone)


@pytest.mark.parametrize(
  ("bindings", "said"),
  [
    ({"DISTANCE": "mean_negative_log_likelihood"}, "scorer.distance"),
    ({"MAX_EXAMPLE_TOKENS": 150}, "scorer.max_example_tokens"),
    ({"BLOCK": (2, 2)}, "block"),
  ],
)
def test_another_kernel_is_refused_by_what_differs(
  alone, files, capsys, bindings, said
):
  assert _run(files, alone, **bindings) == 2
  assert said in capsys.readouterr().err


def test_a_pool_of_one(files, tmp_path, capsys):
  _lines(tmp_path / "one.jsonl", POOL[:1] * 3)
  assert _run(files, tmp_path / "k", POOL=f"{tmp_path}/one.jsonl") == 2
  assert "name a larger POOL" in capsys.readouterr().err


def test_nothing_that_could_be_scored(files, tmp_path, capsys):
  _lines(tmp_path / "long.jsonl", POOL[3:5])
  targets = f"{tmp_path}/long.jsonl"
  assert _run(files, tmp_path / "k", TARGETS=targets) == 2
  said = capsys.readouterr().err
  assert "1 empty response, 1 too long" in said and "MAX_TOKENS" in said


def test_damaged_weights(files, tmp_path, capsys):
  decoders.save(tmp_path / "judge", spoilt=True)
  judge = str(tmp_path / "judge")
  assert _run(files, tmp_path / "k", JUDGE_CHECKPOINT=judge) == 2
  assert "checkpoint is damaged" in capsys.readouterr().err


def test_a_tokenizer_of_another_model(files, tmp_path, capsys):
  tokenizer = decoders.tokenizer()
  tokenizer.add_tokens([f"word{number}" for number in range(40)])
  tokenizer.save(str(tmp_path / "tokenizer.json"))
  found = _run(files, tmp_path / "k", VOCABULARY_FILE=str(tmp_path))
  assert found == 2
  assert "name the judge's own vocabulary" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("row", "said"),
  [
    ({"instruction": "Add."}, "row 1 .* no field 'output'; .*RESPONSE_FIELD"),
    ({"output": "4"}, "row 1 .* no field 'instruction'"),
    ({"instruction": 4, "output": "4"}, "'instruction' holds int"),
    ({"instruction": "a", "input": [1], "output": "4"}, "'input' holds list"),
  ],
)
def test_rows_that_are_no_instructions(files, tmp_path, capsys, row, said):
  _lines(tmp_path / "pool.jsonl", [POOL[0], row])
  assert _run(files, tmp_path / "k", POOL=f"{tmp_path}/pool.jsonl") == 2
  assert re.search(said, capsys.readouterr().err)


def test_only_what_a_selection_keeps(alone, files):
  fields = {"prompt_field": "instruction", "input_field": "input"}
  pool = instructions.Instructions(
    pattern=f"{files}/pool.jsonl", response_field="output", **fields
  )
  index = corpus_index.build(pool, files / "index")
  kept = [0, 1, 2, 5]
  selections.write(
    files / "kept",
    identity={"corpus": index.describe()},
    kept=[("pool.jsonl", np.array(kept), np.ones(len(kept)))],
    shards=index.shards,
    summary=dict,
  )
  selection = {"POOL_SELECTION": str(files / "kept")}
  targets = {"TARGETS": f"{files}/pool.jsonl"}
  assert _run(files, files / "selected", **selection, **targets) == 0
  whole, found = map(UtilityKernel.open, (alone, files / "selected"))
  assert found.examples.positions.tolist() == kept
  names = selections.Selection.open(files / "kept").fingerprint()
  assert found.identity["examples"]["selection"] == names
  np.testing.assert_allclose(
    found.read("raw"), whole.read("raw")[:, kept], atol=1e-5
  )
