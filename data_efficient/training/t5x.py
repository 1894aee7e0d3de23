# SPDX-License-Identifier: Apache-2.0
"""The T5X engine: the real `t5x.train`, for TPU pods. The only door to T5X.

T5X is not on PyPI. `make t5x` installs it; or T5X_PATH names checkouts of
t5x, airio and jestimator. Nothing of it is imported before a run starts.
"""

import dataclasses
import functools
import importlib
import os
import pathlib
import sys
from types import ModuleType
from typing import Any

import jax
import numpy as np

from data_efficient.models import checkpoints, encoder_decoder, partitioning
from data_efficient.training import batches, t5x_log
from data_efficient.training.run import Run

_CHECKOUTS = ("t5x", "airio", "jestimator")


class T5XError(ValueError):
  """T5X is not there, or cannot do what the run asks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5X:
  """Trains with `t5x.train` on all devices of all processes.

  The network, the tasks, the schedule and the loss are those of the local
  engine; T5X's own are its Adafactor, trainer, partitioner and checkpoints.

  Attributes:
    model_parallel: devices that share one copy of the model; the rest of the
      devices split the batch.
    log_period: steps between rows of training metrics.
  """

  model_parallel: int
  log_period: int
  name: str = "t5x"

  def train(self, run: Run) -> None:
    """Trains `run`, from its last checkpoint if there is one.

    Leaves RUN/checkpoints/checkpoint_STEP (T5X's format, which
    `checkpoints.load_parameters` reads), RUN/metrics.jsonl and TensorBoard
    events.

    Raises:
      T5XError: T5X is missing, or the run's periods do not fit its loop.
      FloatingPointError: the loss stopped being finite.
    """
    _check_periods(run)
    directory = _directory(run)
    start = checkpoints.latest_step(directory) or 0
    if start >= run.steps:
      return
    train = _module("train")
    log = t5x_log.Log(run, start=start) if jax.process_index() == 0 else None
    settings = _settings(run, self, start=start, log=log)
    train.train(**settings)
    if log is not None:
      log.close()


def search_path(value: str) -> list[str]:
  """The folders that T5X_PATH adds to Python's search path.

  Args:
    value: checkouts joined by `os.pathsep`, or folders that hold checkouts
      named t5x, airio and jestimator.
  """
  folders = []
  for entry in filter(None, value.split(os.pathsep)):
    inner = [pathlib.Path(entry, name) for name in _CHECKOUTS]
    # A checkout of t5x has a folder t5x too: the package, not a checkout.
    nested = [str(path) for path in inner if (path / path.name).is_dir()]
    folders += nested or [entry]
  return folders


def _module(name: str) -> ModuleType:
  """`t5x.<name>`, imported when first asked for."""
  for folder in reversed(search_path(os.environ.get("T5X_PATH", ""))):
    if folder not in sys.path:
      sys.path.insert(0, folder)
  try:
    return importlib.import_module(f"t5x.{name}")
  except ModuleNotFoundError as error:
    raise T5XError(
      f"the engine t5x needs the module {error.name}, which is not installed:"
      " run `make t5x`, or set T5X_PATH to checkouts of t5x, airio and"
      " jestimator; the engine `local` needs none of them"
    ) from error


def _directory(run: Run) -> str:
  return str(pathlib.Path(run.directory, "checkpoints").absolute())


def _check_periods(run: Run) -> None:
  if run.checkpoint_period % run.evaluation_period:
    raise T5XError(
      f"checkpoint_period = {run.checkpoint_period} is no multiple of"
      f" evaluation_period = {run.evaluation_period}: T5X counts its"
      " evaluations from the step at which it starts, and after a restart"
      " they would fall on other steps"
    )


def _settings(
  run: Run, engine: T5X, *, start: int, log: t5x_log.Log | None
) -> dict[str, Any]:
  """The arguments of `t5x.train.train`."""
  utils = _module("utils")
  dataset = utils.DatasetConfig(
    mixture_or_task_name=run.task,
    task_feature_lengths=dict(run.task_feature_lengths),
    split="train",
    batch_size=run.batch_size,
    shuffle=True,
    seed=run.seed,
    pack=False,
  )
  return {
    "model": _model(run),
    "train_dataset_cfg": dataset,
    "train_eval_dataset_cfg": dataset,
    "infer_eval_dataset_cfg": None,
    "checkpoint_cfg": utils.CheckpointConfig(
      save=utils.SaveCheckpointConfig(period=run.checkpoint_period, keep=2)
    ),
    "partitioner": _partitioner(engine.model_parallel),
    "trainer_cls": functools.partial(_trainer, run),
    "model_dir": _directory(run),
    "total_steps": run.steps,
    "eval_steps": run.evaluation_batches,
    "eval_period": run.evaluation_period,
    "stats_period": engine.log_period,
    "random_seed": run.seed,
    "summarize_config_fn": lambda *_: None,
    "get_dataset_fn": functools.partial(_dataset, start),
    "train_eval_get_dataset_fn": functools.partial(_evaluation, run),
    # Actions see the metrics only when they are not computed on the side.
    "concurrent_metrics": False,
    "actions": _actions(log),
    "run_eval_before_training": start == 0,
  }


def _model(run: Run) -> Any:
  import seqio

  models, losses = _module("models"), _module("losses")
  adafactor = _module("adafactor")
  features = seqio.get_mixture_or_task(run.task).output_features
  return _measured(models.EncoderDecoderModel)(
    module=encoder_decoder.Transformer(run.network),
    input_vocabulary=features["inputs"].vocabulary,
    output_vocabulary=features["targets"].vocabulary,
    optimizer_def=adafactor.Adafactor(
      decay_rate=0.8,
      step_offset=0,
      logical_factor_rules=adafactor.standard_logical_factor_rules(),
    ),
    z_loss=run.z_loss,
    # A mean, as in the local engine; T5X's default is the sum.
    loss_normalizing_factor=(
      losses.SpecialLossNormalizingFactor.NUM_REAL_TARGET_TOKENS
    ),
  )


def _measured(base: type) -> type:
  """The model class with metrics that are exact over many batches."""
  import clu.metrics

  sums = _module("metrics")

  class Model(base):
    """Adds the mean loss of a token and the number of tokens."""

    def _compute_metrics(
      self, logits, targets, mask, loss, z_loss=None, segment_ids=None
    ):
      found = super()._compute_metrics(
        logits, targets, mask, loss, z_loss, segment_ids
      )
      weight = mask.sum()
      found["token_loss"] = clu.metrics.Average(
        total=(loss - z_loss) * weight, count=weight
      )
      found["tokens"] = sums.Sum(
        sum((kept != 0).sum() for kept in segment_ids.values())
      )
      return found

  return Model


def _partitioner(model_parallel: int) -> Any:
  cls = _module("partitioning").PjitPartitioner
  rules = partitioning.RULES
  if jax.default_backend() == "cpu":
    # T5X gives all CPU devices to the model axis unless told the submesh.
    submesh = (1, model_parallel)
    return cls(model_parallel_submesh=submesh, logical_axis_rules=rules)
  return cls(num_partitions=model_parallel, logical_axis_rules=rules)


def _trainer(run: Run, **arguments: Any) -> Any:
  arguments["summary_dir"] = run.directory
  return _module("trainer").Trainer(
    **arguments, learning_rate_fn=run.schedule, num_microbatches=None
  )


def _dataset(start: int, *arguments: Any, **keywords: Any) -> Any:
  """T5X's dataset without the batches that were trained on already."""
  return _module("utils").get_dataset(*arguments, **keywords).skip(start)


def _evaluation(
  run: Run, config: Any, shard: int, num_shards: int, *_: Any, **__: Any
) -> dict[str, Any]:
  """This host's rows of the fixed evaluation batches, by label."""
  import tensorflow as tf

  del config
  fixed = batches.evaluation(run)
  for label, found in fixed.items():
    if not found:
      raise T5XError(
        f"the evaluation set {label!r} has no example:"
        f" {run.evaluation_tasks[label]} is empty"
      )
  return {
    label: tf.data.Dataset.from_tensor_slices(
      {
        name: np.stack([batch[name][shard::num_shards] for batch in found])
        for name in found[0]
      }
    )
    for label, found in fixed.items()
  }


def _actions(log: t5x_log.Log | None) -> dict[str, list[Any]]:
  if log is None:
    return {}
  base = _module("trainer").BaseAction

  class Action(base):
    """Hands metrics to the run's log."""

    def __init__(self, write):
      self._write = write

    def run(self, train_state, metrics_by_task):
      for label, found in metrics_by_task.items():
        values = {name: value.value for name, value in found.items()}
        self._write(int(train_state.step), label, values)
      return False

  return {"TRAIN": [Action(log.trained)], "TRAIN_EVAL": [Action(log.evaluated)]}
