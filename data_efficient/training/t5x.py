# SPDX-License-Identifier: Apache-2.0
"""The T5X engine: the real `t5x.train` and `t5x.infer`, for TPU pods.

Where T5X comes from: `t5x_import`. No module but the `t5x_…` ones knows it.
"""

import dataclasses
import functools
import pathlib
import shutil
import time
from typing import Any

import numpy as np
from jax.experimental import multihost_utils

from data_efficient import processes
from data_efficient.models import checkpoints
from data_efficient.training import (
  batches,
  inference,
  optimizers,
  t5x_log,
  t5x_model,
)
from data_efficient.training.run import Run
from data_efficient.training.t5x_import import T5XError, module

__all__ = ("T5X", "T5XError")

# Batches that `t5x.infer` holds in memory, with their results.
_CHUNK = 100


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
    `checkpoints.load_parameters` reads), RUN/metrics.jsonl in the rows of the
    local engine, and TensorBoard events.

    Raises:
      T5XError: T5X is missing, or cannot train this network or keep the run's
        periods.
      CheckpointError: the initial checkpoint is not there, or not this
        network's.
      DivergedError: the loss is no longer a finite number.
    """
    _check_optimizer(run)
    _check_periods(run)
    directory = _checkpoints(run)
    start = checkpoints.latest_step(directory) or 0
    if start >= run.steps:
      return
    train = module("train")
    log = t5x_log.Log(run, start=start) if processes.is_first() else None
    settings = _settings(run, self, start=start, log=log)
    train.train(**settings)
    if log is not None:
      log.close()

  def infer(self, asked: inference.Inference) -> None:
    """Scores targets or predicts them with `t5x.infer`; see `inference`.

    An interrupted inference starts anew: T5X would go on with the finished
    parts in its directory, whatever parameters they were made with.

    Raises:
      T5XError: T5X is missing, or cannot run this network.
      CheckpointError: the checkpoint is not there, or not this network's.
    """
    infer = module("infer")
    directory = pathlib.Path(asked.directory, "t5x").absolute()
    if processes.is_first():
      shutil.rmtree(directory, ignore_errors=True)
      directory.mkdir(parents=True)
    multihost_utils.sync_global_devices("an empty directory")
    infer.infer(**_inference_settings(asked, self, str(directory)))
    if processes.is_first():
      (found,) = directory.glob("*.jsonl-00000-of-00001")
      inference.keep(asked, found.read_bytes())
      shutil.rmtree(directory)


def _checkpoints(run: Run) -> str:
  return str(pathlib.Path(run.directory, "checkpoints").absolute())


def _check_optimizer(run: Run) -> None:
  if run.adapter is not None:
    raise T5XError(
      "the engine t5x trains all parameters of a network, no adapter: choose"
      " the engine `local` (gin/engines/local.gin), or gin/runs/finetune.gin"
      " for full fine-tuning"
    )
  if run.optimizer is not optimizers.adafactor:
    raise T5XError(
      "the engine t5x trains with T5X's Adafactor alone: leave Run.optimizer as"
      " it is, or choose the engine `local`"
    )


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
  utils = module("utils")
  dataset = utils.DatasetConfig(
    mixture_or_task_name=run.task,
    task_feature_lengths=dict(run.task_feature_lengths),
    split="train",
    batch_size=run.batch_size,
    shuffle=True,
    seed=run.seed,
    use_cached=batches.reads_cache(run.task),
    pack=False,
  )
  initializer = utils.TrainStateInitializer
  if run.initial_checkpoint is not None:
    initializer = t5x_model.initializer(run.network, run.initial_checkpoint)
  return {
    "model": t5x_model.model(run.network, run.task, z_loss=run.z_loss),
    "train_dataset_cfg": dataset,
    "train_eval_dataset_cfg": dataset,
    "infer_eval_dataset_cfg": None,
    "checkpoint_cfg": utils.CheckpointConfig(
      save=utils.SaveCheckpointConfig(
        period=run.checkpoint_period,
        keep=2,
        # T5X takes from it only what it says beside its own settings; it
        # is to watch no metric.
        checkpointer_cls=functools.partial(
          module("checkpoints").SaveBestCheckpointer,
          metric_name_to_monitor=None,
          force_keep_period=run.keep_period,
        ),
      )
    ),
    "partitioner": t5x_model.partitioner(engine.model_parallel),
    "train_state_initializer_cls": initializer,
    "trainer_cls": functools.partial(_trainer, run, log),
    "model_dir": _checkpoints(run),
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


def _inference_settings(
  asked: inference.Inference, engine: T5X, directory: str
) -> dict[str, Any]:
  """The arguments of `t5x.infer.infer`."""
  utils = module("utils")
  return {
    "mode": str(asked.mode),
    "model": t5x_model.model(asked.network, asked.task, z_loss=0.0),
    "dataset_cfg": utils.DatasetConfig(
      mixture_or_task_name=asked.task,
      task_feature_lengths=dict(asked.task_feature_lengths),
      split=inference.SPLIT,
      batch_size=asked.batch_size,
      shuffle=False,
      seed=inference.SEED,
      use_cached=batches.reads_cache(asked.task),
      pack=False,
    ),
    "restore_checkpoint_cfg": utils.RestoreCheckpointConfig(
      path=asked.checkpoint,
      mode="specific",
      # T5X's own gin files restore bfloat16.
      dtype="float32",
      checkpoint_manager_cls=t5x_model.reader(asked.network),
    ),
    "partitioner": t5x_model.partitioner(engine.model_parallel),
    "output_dir": directory,
    "checkpoint_period": _CHUNK,
    # Not every dataset's iterator can be saved.
    "checkpoint_ds_iter": False,
    "write_fn": functools.partial(_write, asked),
    "summarize_config_fn": lambda **_: None,
  }


def _write(
  asked: inference.Inference, path: str, found: Any, examples: Any, *_: Any
) -> None:
  """Writes a chunk of inferences in our rows and not in T5X's."""
  outputs, _ = found
  rows = inference.rows(asked, examples.as_numpy_iterator(), outputs)
  pathlib.Path(path).write_text("".join(rows), encoding="utf-8")


def _trainer(run: Run, log: t5x_log.Log | None, **arguments: Any) -> Any:
  class Trainer(module("trainer").Trainer):
    """Says how long the train step took to compile."""

    def compile_train(self, batch):
      """Compiles."""
      began = time.perf_counter()
      super().compile_train(batch)
      if log is not None:
        log.compiled(time.perf_counter() - began)

  arguments["summary_dir"] = run.directory
  return Trainer(
    **arguments, learning_rate_fn=run.schedule, num_microbatches=None
  )


def _dataset(start: int, *arguments: Any, **keywords: Any) -> Any:
  """T5X's dataset without the batches that were trained on already."""
  return module("utils").get_dataset(*arguments, **keywords).skip(start)


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
  base = module("trainer").BaseAction

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
