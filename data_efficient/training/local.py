# SPDX-License-Identifier: Apache-2.0
"""The local engine: JAX SPMD over a mesh, Optax, Orbax, CLU.

On CPU, GPU or TPU, in one process or several (`processes`). The same network
and tasks train under T5X (`training/t5x.py`); this engine installs from PyPI
alone.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp

from data_efficient import processes
from data_efficient.models import partitioning
from data_efficient.training import (
  finetuning,
  inference,
  local_inference,
  loop,
  metrics,
  step,
)
from data_efficient.training.loop import DivergedError
from data_efficient.training.run import Run

__all__ = ("DivergedError", "Local")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Local:
  """Trains on the devices of all processes.

  Attributes:
    model_parallel: devices that share one copy of the model; the rest of the
      devices split the batch.
    microbatches: parts of a batch that are computed one after the other, for
      less memory and (but for dropout's masks) the same step.
    log_period: steps between rows of training metrics.
  """

  model_parallel: int
  microbatches: int
  log_period: int
  name: str = "local"

  def train(self, run: Run) -> None:
    """Trains `run`, from its last checkpoint if there is one.

    Leaves RUN/checkpoints (Orbax, by step; parameters and optimizer as
    "state", the counts as "counts") and RUN/metrics.jsonl. Of a run that trains
    an adapter the parameters are the adapter's alone; RUN/adapter.json says of
    which network (`adapter_files`). A row of training
    has the `loss` of its step, the `learning_rate`, the `tokens` so far and
    the `seconds` so far: wall clock of training, waiting for data included,
    without compilation, evaluations and checkpoints. `compile_seconds`, of the
    train step, stand in the first row after each start.

    SIGTERM and Ctrl-C are answered after the step at hand: a checkpoint is
    saved, and the process exits with status 128 + the signal's number. One of
    several processes tells the others, and all stop at the same step.

    Raises:
      PartitioningError: devices, network or batch that do not divide.
      CheckpointError: the initial checkpoint is not there, not this network's,
        or another than that of the run's adapter.
      DivergedError: the loss is no longer a finite number.
      Interrupted: see above.
    """
    mesh = partitioning.mesh(model_parallel=self.model_parallel)
    self._check_batch(run, mesh)
    finetuning.check_kind(run)
    with partitioning.activate(mesh), _checkpoints(run) as checkpoints:
      functions = _functions(run, mesh, self.microbatches)
      state, counts = _begun(run, checkpoints, functions)
      if counts.step >= run.steps:
        return
      if run.adapter is not None:
        functions = functions._replace(base=finetuning.base(run, mesh))
      log = _log(run, counts.step)
      training = loop.Loop(
        run, functions, checkpoints, log, log_period=self.log_period
      )
      training.go(state, counts)
      log.close()

  def infer(self, asked: inference.Inference) -> None:
    """Scores targets or predicts them; see `local_inference`."""
    local_inference.infer(asked, model_parallel=self.model_parallel)

  def _check_batch(self, run: Run, mesh: jax.sharding.Mesh) -> None:
    parts = mesh.shape["data"] * self.microbatches
    if self.microbatches < 1 or run.batch_size % parts:
      raise partitioning.PartitioningError(
        f"batch_size = {run.batch_size} does not divide into"
        f" {self.microbatches} microbatches over {mesh.shape['data']} groups"
        f" of devices: choose a multiple of {parts}, or other"
        " Local.microbatches or Local.model_parallel"
      )


def _functions(run: Run, mesh, microbatches: int) -> loop.Functions:
  optimizer, lora = run.optimizer(run.schedule), run.adapter
  key = jax.random.key(run.seed)
  initial = functools.partial(
    step.initial_state, run.network, optimizer, key, lora
  )
  shardings = step.state_shardings(run.network, optimizer, mesh, lora)
  whole, rows = partitioning.replicated(mesh), partitioning.batch_sharding(mesh)
  base = None
  if lora is not None:
    base = partitioning.parameter_shardings(run.network, mesh)
  split = {
    "network": run.network,
    "microbatches": microbatches,
    "lora": lora,
  }
  return loop.Functions(
    initial=jax.jit(initial, out_shardings=shardings),
    train=jax.jit(
      functools.partial(
        step.train_step,
        optimizer=optimizer,
        z_loss=run.z_loss,
        seed=run.seed,
        **split,
      ),
      in_shardings=(shardings, rows, base),
      out_shardings=(shardings, whole),
      donate_argnums=0,
    ),
    evaluate=jax.jit(
      functools.partial(step.evaluation_step, **split),
      in_shardings=(shardings.parameters, rows, base),
      out_shardings=whole,
    ),
    shardings=shardings,
    rows=rows,
  )


def _checkpoints(run: Run) -> ocp.CheckpointManager:
  policies = ocp.checkpoint_managers
  kept = [policies.LatestN(2)]
  if run.keep_period is not None:
    kept.append(policies.EveryNSteps(run.keep_period))
  return ocp.CheckpointManager(
    pathlib.Path(run.directory, "checkpoints").absolute(),
    options=ocp.CheckpointManagerOptions(
      save_interval_steps=run.checkpoint_period,
      preservation_policy=policies.AnyPreservationPolicy(kept),
      enable_async_checkpointing=False,
    ),
  )


def _begun(
  run: Run, checkpoints: ocp.CheckpointManager, functions: loop.Functions
) -> tuple[step.State, loop.Counts]:
  """What the last checkpoint holds, or a fresh start."""
  latest = checkpoints.latest_step()
  if latest is None:
    counts = loop.Counts(step=0, tokens=0, seconds=0.0)
    return _fresh(run, functions), counts
  shapes = jax.tree.map(
    lambda leaf, sharding: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=sharding
    ),
    jax.eval_shape(functions.initial),
    functions.shardings,
  )
  found = checkpoints.restore(
    latest,
    args=ocp.args.Composite(
      state=ocp.args.StandardRestore(shapes), counts=ocp.args.JsonRestore()
    ),
  )
  return found["state"], loop.Counts(**found["counts"])


def _fresh(run: Run, functions: loop.Functions) -> step.State:
  if run.initial_checkpoint is None or run.adapter is not None:
    return functions.initial()
  parameters = finetuning.initial_parameters(
    run, shardings=functions.shardings.parameters
  )
  return functions.initial()._replace(parameters=parameters)


def _log(run: Run, start: int) -> Any:
  if processes.is_first():
    return metrics.MetricsLog(run.directory, step=start)
  return metrics.Silence()
