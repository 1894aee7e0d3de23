# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint to a figure by the verbs, on made-up records."""

import json

import jax
import pytest

from data_efficient import main
from data_efficient.models import checkpoints, networks
from tests import networks as small
from tests.suites import declared

pytest.importorskip(
  "t5.data.mixtures", reason="t5 is not installed: run `make suites`"
)
SIZES = {
  **{"vocab_size": 512, "emb_dim": 16, "num_heads": 2, "head_dim": 8},
  **{"mlp_dim": 32, "num_encoder_layers": 1, "num_decoder_layers": 1},
}


@pytest.fixture
def checkpoint(tmp_path):
  parameters = networks.init_parameters(
    small.t5(vocab_size=512), jax.random.key(0)
  )
  checkpoints.save_parameters(tmp_path / "start", parameters)
  return tmp_path / "start"


def _run(verb, files, vocabulary, **macros):
  files = [
    *(*files, "gin/models/t5_1_1_tiny.gin", "gin/engines/local.gin"),
    "gin/data/vocabulary_file.gin",
  ]
  bindings = {"VOCABULARY_FILE": vocabulary.path, **macros}
  words = [f"--gin_file={each}" for each in files]
  words += [f"--gin.{name}={value}" for name, value in bindings.items()]
  words += [
    f"--gin.encoder_decoder.T5Config.{name}={value}"
    for name, value in SIZES.items()
  ]
  return main.main([verb, "--debug", *words])


NAMES = {
  **{"squad": "SQuAD", "cnn_dailymail": "CNN/DM"},
  "super_glue": "SuperGLUE",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_tuned_and_measured(
  name, vocabulary, mocked, checkpoint, tmp_path
):
  lengths = {"INPUTS": 48, "TARGETS": 8}
  run, found = tmp_path / "run", tmp_path / "run/suites"
  files = ["gin/runs/tune.gin", f"gin/data/{name}.gin"]
  settings = {"STEPS": 2, "BATCH_SIZE": 4, "CHECKPOINT_PERIOD": 1}
  with mocked():
    done = _run(
      "train",
      [*files, "gin/runs/finetune.gin"],
      vocabulary,
      **{"OUTPUT": run, "INITIAL_CHECKPOINT": checkpoint},
      **settings | lengths,
    )
    assert done == 0
    record = json.loads((run / "run.json").read_text())
    assert record["initial_checkpoint"] == str(checkpoint)
    steps = [str(run / f"checkpoints/{step}") for step in (1, 2)]
    done = _run(
      "suite",
      [f"gin/runs/suite_{name}.gin"],
      vocabulary,
      **{"OUTPUT": found, "CHECKPOINTS": steps},
      **{"suite.suite.resamples": 20, "suite.suite.batch_size": 8},
      **lengths,
    )
    assert done == 0
  report = json.loads((found / "suites.json").read_text())
  assert list(report["validation"]) == steps
  [[suite, rows]] = report["results"]["tasks"].items()
  assert suite == NAMES[name]
  for row in rows.values():
    assert row["questions"] >= 8
    assert 0 <= row["cut"] <= row["questions"]
  [benchmark] = declared.suites(f"gin/runs/suite_{name}.gin", vocabulary)
  assert set(rows) == {n for row in benchmark.tasks.values() for n in row}
  # The mean of its tasks, each the mean of its metrics.
  values = [_figure(row, benchmark.averaged) for row in rows.values()]
  found = report["results"]["averages"][suite]["value"]
  assert found == pytest.approx(sum(values) / len(values))


def _figure(row, averaged):
  metrics = {
    name: metric["value"]
    for name, metric in row.items()
    if isinstance(metric, dict) and (name in averaged or not averaged)
  }
  return sum(metrics.values()) / len(metrics)
