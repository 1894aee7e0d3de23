# SPDX-License-Identifier: Apache-2.0
"""The baselines by the command line: from instructions to equal budgets.

A small random decoder, its warm-up with LoRA, and every score set by one
process and by two.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from data_efficient import main
from data_efficient.data import score_sets, selections
from tests import decoders

WORDS = "red blue green one two three cat dog bird sun moon star".split()


def _records(seed, count):
  rng = np.random.default_rng(seed)
  return [
    {
      "instruction": " ".join(rng.choice(WORDS, rng.integers(1, 6))) + "?",
      "output": " ".join(rng.choice(WORDS, rng.integers(1, 9))),
      "task": ["sums", "names"][n % 2],
    }
    for n in range(count)
  ]


def _write(path, rows):
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _call(verb, *files, **bindings):
  words = [verb, *(f"--gin_file={file}" for file in files)]
  words += [f"--gin.{name}={value!r}" for name, value in bindings.items()]
  assert main.main(words) == 0
  return bindings["OUTPUT"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
  """A decoder, a pool of two files, targets, a warm-up, embeddings."""
  root = tmp_path_factory.mktemp("baselines")
  decoders.save(root / "judge")
  (root / "pool").mkdir()
  _write(
    root / "pool/a.jsonl",
    [*_records(0, 20), {**_records(9, 1)[0], "output": ""}],
  )
  _write(root / "pool/b.jsonl", _records(1, 19))
  _write(root / "targets.jsonl", _records(2, 6))
  _call(
    "select",
    *("gin/runs/select.gin", "gin/data/instruction_pool.gin"),
    *("gin/selectors/random.gin", "gin/selectors/budget_examples.gin"),
    **_pool(root),
    **{"KEEP_FRACTION": 0.2, "TOKEN_COUNTS": None},
    OUTPUT=f"{root}/warmup_records",
  )
  judge = f"{root}/judge"
  _call(
    "train",
    *("gin/runs/tune_files.gin", "gin/models/decoder_from_checkpoint.gin"),
    *("gin/data/vocabulary_file.gin", "gin/engines/local.gin"),
    "gin/runs/less_warmup.gin",
    **{"JUDGE_CHECKPOINT": judge, "INITIAL_CHECKPOINT": judge},
    **{"VOCABULARY_FILE": judge, "POOL": f"{root}/pool/*.jsonl"},
    **{"WATCHED": f"{root}/targets.jsonl", "BATCH_SIZE": 4},
    **{"SELECTION": f"{root}/warmup_records", "MAX_TOKENS": 160},
    **{"EPOCHS": 2, "LEARNING_RATE": 0.01, "EVALUATION_BATCHES": 1},
    **{"TASK_FIELD": "task", "Local.log_period": 1},
    OUTPUT=f"{root}/warmup",
  )
  _call(
    "score",
    *("gin/runs/score.gin", "gin/data/instruction_pool.gin"),
    *("gin/data/vocabulary_file.gin", "gin/scorers/latent_semantic.gin"),
    **_pool(root),
    **{"SCORED_SPLITS": ("pool",), "VOCABULARY_FILE": judge},
    **{"LatentSemantic.dimensions": 8},
    OUTPUT=f"{root}/embeddings",
  )
  return root


def _pool(root):
  return {
    "POOL": f"{root}/pool/*.jsonl",
    "PREPARED": f"{root}/prepared",
    "TASK_FIELD": "task",
  }


def _scorers(root):
  judge = {"JUDGE_CHECKPOINT": f"{root}/judge"}
  return {
    "length": {"VOCABULARY_FILE": f"{root}/judge"},
    "selectit": {
      **judge,
      **{"MAX_TOKENS": 420, "LEAST_SCALE_PROBABILITY": 0.0},
      "SelectIt.part_records": 8,
    },
    "less": {
      **judge,
      **{"WARMUP": f"{root}/warmup", "TARGETS": f"{root}/targets.jsonl"},
      **{"MAX_TOKENS": 160, "DIMENSIONS": 256, "Less.part_records": 8},
    },
    "deft_ucs": {
      **{"EMBEDDINGS": f"{root}/embeddings", "CLUSTERS": 3, "CLUSTERED": 40},
      **{"KMeans.rounds": 2, "EASY": 0.5},
    },
  }


def _argv(root, name, output):
  files = ["gin/runs/score.gin", "gin/data/instruction_pool.gin"]
  if name == "length":
    files.append("gin/data/vocabulary_file.gin")
  files.append(f"gin/scorers/{name}.gin")
  bindings = {
    **_pool(root),
    **_scorers(root)[name],
    **{"SCORED_SPLITS": ("pool",), "OUTPUT": str(output)},
  }
  return ["score", *(f"--gin_file={file}" for file in files)] + [
    f"--gin.{key}={value!r}" for key, value in bindings.items()
  ]


def _bytes(directory):
  return {
    path.name: path.read_bytes()
    for path in sorted(pathlib.Path(directory).rglob("*.parquet"))
  }


def _by_two(root, name, output):
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
  running = [
    subprocess.Popen(
      [sys.executable, "-m", "data_efficient", *_argv(root, name, output)],
      env=os.environ | {"DATA_EFFICIENT_PROCESSES": f"{n}/2@127.0.0.1:{port}"},
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    for n in range(2)
  ]
  said = [process.communicate(timeout=900)[0] for process in running]
  assert [process.returncode for process in running] == [0, 0], said


@pytest.mark.parametrize("name", ["length", "selectit", "less", "deft_ucs"])
def test_a_baseline_from_score_to_selection(place, name, capsys):
  scores = place / f"{name}-scores"
  assert main.main(_argv(place, name, scores)) == 0
  found = score_sets.ScoreSet.open(scores)
  statuses = np.concatenate(list(found.statuses().values()))
  assert (statuses == "scored").sum() >= 39
  if name != "deft_ucs":
    assert statuses[20] == "unscorable(empty response)"
  by_two = place / f"{name}-by-two"
  _by_two(place, name, by_two)
  assert _bytes(by_two) == _bytes(scores) and _bytes(scores)
  capsys.readouterr()
  assert main.main(_argv(place, name, scores)) == 0
  assert "done before" in capsys.readouterr().out
  kept = set()
  for fraction in (0.1, 0.3, 0.5):
    made = _call(
      "select",
      *("gin/runs/select.gin", "gin/data/instruction_pool.gin"),
      f"gin/selectors/{name}.gin",
      "gin/selectors/budget_examples.gin",
      **_pool(place),
      **{"SCORES": str(scores), "TOKEN_COUNTS": None},
      KEEP_FRACTION=fraction,
      OUTPUT=f"{place}/{name}-{fraction}",
    )
    selection = selections.Selection.open(made)
    more = {
      (shard, position)
      for shard in selection.shards
      for position in selection.positions(shard).tolist()
    }
    assert len(more) == round(40 * fraction) and kept <= more
    kept = more


def test_the_warm_up_keeps_an_epoch_s_checkpoint(place):
  record = json.loads((place / "warmup/adapter.json").read_text())
  assert record["lora"]["rank"] == 128
  steps = sorted(
    int(path.name) for path in (place / "warmup/checkpoints").iterdir()
  )
  # 8 of 40 records, 4 a step: two steps an epoch, two epochs.
  assert steps == [2, 4]
  manifest = json.loads((place / "less-scores/manifest.json").read_text())
  text = json.dumps(manifest)
  assert '"step": 2' in text and '"dimensions": 256' in text
