# SPDX-License-Identifier: Apache-2.0
"""Every baseline of the fine-tuning comparison is a gin file for any pool."""

import pytest

from data_efficient import gin_config
from data_efficient.cli import score, select

POOL = ("POOL=x", "PREPARED=x", "OUTPUT=x")
JUDGE = ("JUDGE_CHECKPOINT=x",)
# Scorer -> what it needs to be told.
SCORERS = {
  "length": ("VOCABULARY_FILE=x",),
  "selectit": JUDGE,
  "selectit_models": (*JUDGE, "SECOND_CHECKPOINT=y"),
  "less": (*JUDGE, "WARMUP=w", "TARGETS=t"),
  "deft_ucs": ("EMBEDDINGS=e",),
}


def _score(name, bindings):
  vocabulary = ["gin/data/vocabulary_file.gin"] if name == "length" else []
  gin_config.parse(
    [
      *("gin/runs/score.gin", "gin/data/instruction_pool.gin"),
      *vocabulary,
      f"gin/scorers/{name}.gin",
    ],
    [*POOL, "SCORED_SPLITS=('pool',)", *bindings],
  )
  gin_config.configured(score.score)
  return gin_config.resolved()


@pytest.mark.parametrize("name", SCORERS)
def test_a_scorer_is_a_file(name):
  assert "SCORER = @" in _score(name, SCORERS[name])


@pytest.mark.parametrize("name", ["selectit", "less"])
def test_a_scorer_says_what_it_lacks(name):
  with pytest.raises(gin_config.GinError, match="JUDGE_CHECKPOINT"):
    _score(name, SCORERS[name][1:])


def test_the_papers_numbers_are_what_ships():
  text = _score("selectit", JUDGE)
  assert "ALPHA = 0.2" in text and "NORMALISATION = 'share'" in text
  text = _score("less", SCORERS["less"])
  assert "DIMENSIONS = 8192" in text and "SUBTASK = 'mean_gradient'" in text


@pytest.mark.parametrize(
  "name", ["random", "full", "length", "selectit", "less", "deft_ucs"]
)
@pytest.mark.parametrize("counted", ["tokens", "examples"])
def test_a_selector_is_a_file_at_either_budget(name, counted):
  gin_config.parse(
    [
      *("gin/runs/select.gin", "gin/data/instruction_pool.gin"),
      f"gin/selectors/{name}.gin",
      f"gin/selectors/budget_{counted}.gin",
    ],
    [*POOL, "SCORES=x", "TOKEN_COUNTS=x", "KEEP_FRACTION=0.3"],
  )
  gin_config.configured(select.select)
  text = gin_config.resolved()
  assert f"SAMPLER = '{name}'" in text
  assert f"BUDGET = @budget.fraction_of_{counted}()" in text


def test_the_warm_up_of_less_is_a_run():
  gin_config.parse(
    [
      *("gin/runs/tune_files.gin", "gin/models/decoder_from_checkpoint.gin"),
      *("gin/data/vocabulary_file.gin", "gin/engines/local.gin"),
      "gin/runs/less_warmup.gin",
    ],
    [
      *("JUDGE_CHECKPOINT=x", "INITIAL_CHECKPOINT=x", "VOCABULARY_FILE=x"),
      *("POOL=p", "WATCHED=w", "SELECTION=s", "OUTPUT=o"),
    ],
  )
  text = gin_config.resolved()
  assert "adapters.Lora.rank = 128" in text
  assert "CHECKPOINT_PERIOD = %KEEP_PERIOD" in text
  assert "finetuning.finetuning.schedule = @optimizers.linear()" in text
