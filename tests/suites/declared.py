# SPDX-License-Identifier: Apache-2.0
"""What the gin files declare, read from them as a user's command does."""

from unittest import mock

from data_efficient import gin_config
from data_efficient.cli import suite, train
from data_efficient.training import local

ENGINE = ("gin/engines/local.gin", "gin/data/vocabulary_file.gin")
MODEL = ("gin/models/t5_1_1_small.gin",)
# Run file -> its suites' macros of files.
SUITES = {
  "gin/runs/suite_few_shot.gin": (
    *("MMLU", "BBH", "SVAMP", "ASDIV", "STRATEGY_QA"),
  ),
  "gin/runs/suite.gin": ("MMLU", "BBH", "GSM8K", "SQUAD", "CHOICE"),
  **dict.fromkeys(
    (
      *("gin/runs/suite_glue.gin", "gin/runs/suite_super_glue.gin"),
      *("gin/runs/suite_cnn_dailymail.gin", "gin/runs/suite_squad.gin"),
    ),
    (),
  ),
}
TUNED = (
  *("gin/data/glue.gin", "gin/data/super_glue.gin", "gin/data/squad.gin"),
  *("gin/data/cnn_dailymail.gin", "gin/data/flan.gin"),
)


class _Captured(BaseException):
  """Carries what a verb would have worked on."""


def suites(run_file, vocabulary, *bindings, **files):
  """The suites of a run file of the verb `suite`.

  `files`: macro of files -> glob; the others are not there.
  """
  globs = dict.fromkeys(SUITES[run_file], "x") | files
  bindings += tuple(f"{name}_FILES={glob}" for name, glob in globs.items())
  bindings += ("OUTPUT=x", "CHECKPOINTS=['x']")
  gin_config.parse(
    [run_file, *MODEL, *ENGINE],
    [*bindings, f"VOCABULARY_FILE={vocabulary.path}"],
  )
  return _captured(suite, "_keep", suite.suite)[1].suites


def tuned(data_file, vocabulary, directory):
  """The run of the verb `train` on tasks, from a checkpoint."""
  files = ["gin/runs/tune.gin", data_file, "gin/runs/finetune.gin"]
  bindings = [f"OUTPUT={directory}", "INITIAL_CHECKPOINT=x"]
  gin_config.parse(
    [*files, *MODEL, *ENGINE],
    [*bindings, f"VOCABULARY_FILE={vocabulary.path}"],
  )
  return _captured(local.Local, "train", train.train)[1]


def _captured(owner, name, verb):
  def capture(*arguments):
    raise _Captured(*arguments)

  with mock.patch.object(owner, name, capture):
    try:
      gin_config.configured(verb)()
    except _Captured as captured:
      return captured.args
  raise AssertionError(f"{verb} did not come to {name}")
