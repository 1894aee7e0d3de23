# SPDX-License-Identifier: Apache-2.0
"""The verb `infer`, and the gin files that go behind a run's own."""

import pytest

from data_efficient import gin_config
from data_efficient.cli import infer
from data_efficient.training import inference
from tests.training import fakes

RUN = (
  *("gin/runs/train.gin", "gin/data/files.gin", "gin/data/vocabulary_file.gin"),
  "gin/models/t5_1_1_small.gin",
)
BINDINGS = ("FILES=x", "PREPARED=x", "VOCABULARY_FILE=x", "SELECTION=x")


@pytest.mark.parametrize("engine", ["local", "t5x"])
@pytest.mark.parametrize(
  ("name", "macro"),
  [("finetune", "INITIAL_CHECKPOINT"), ("infer", "CHECKPOINT")],
)
def test_one_run_file_serves_training_tuning_and_inference(name, macro, engine):
  files = [*RUN, f"gin/engines/{engine}.gin", f"gin/runs/{name}.gin"]
  with pytest.raises(gin_config.GinError, match=f"{macro} .*is required"):
    gin_config.parse(files, [*BINDINGS, "OUTPUT=out"])
  gin_config.parse(files, [*BINDINGS, "OUTPUT=out", f"{macro}=out/run"])
  text = gin_config.resolved()
  assert "RUN = @pretraining.pretraining()" in text
  assert f".checkpoint = %{macro}" in text


class _Engine:
  """Counts how often it is asked."""

  def __init__(self):
    self.calls = 0

  def infer(self, asked):
    self.calls += 1
    inference.keep(asked, b'{"inputs": "a", "targets": "b", "score": -1.0}\n')


def test_what_is_done_is_not_done_again(tmp_path, capsys):
  asked = inference.Inference(
    directory=str(tmp_path / "out"),
    network=fakes.CONFIG,
    checkpoint="run",
    task="task",
    task_feature_lengths={},
    batch_size=1,
    mode=inference.Mode.SCORE,
  )
  engine = _Engine()
  infer.infer(inference=asked, engine=engine)
  infer.infer(inference=asked, engine=engine)
  assert engine.calls == 1
  assert inference.read(asked.directory)[0]["score"] == -1.0
  printed = capsys.readouterr().out
  assert "1 examples" in printed and "done before" in printed
