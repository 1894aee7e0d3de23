# SPDX-License-Identifier: Apache-2.0
"""LESS's warm-up: a short run of LoRA, and its checkpoints with Adam's state.

The verb `train` leaves in RUN the adapter's record (`adapter_files`), an Orbax
checkpoint a step that was kept, and the learning rates in metrics.jsonl.
"""

import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from data_efficient.kernels import gradient_features
from data_efficient.models import (
  adapter_files,
  adapters,
  fingerprints,
  parameter_trees,
  partitioning,
)
from data_efficient.scorers import judges

_CHECKPOINTS, _STATE, _METRICS = "checkpoints", "state", "metrics.jsonl"
_MOMENTS = {"count", "mu", "nu"}


class WarmupError(ValueError):
  """A run that gradients cannot be taken from; says what to do."""


class Checkpoint(NamedTuple):
  """The adapter after a step.

  Attributes:
    step: of the run.
    adapter: `adapters.Adapter`.
    moments: Adam's.
    weight: sum of the learning rates since the checkpoint before. Of epochs,
      which are equally long, as good as the paper's means.
  """

  step: int
  adapter: Any
  moments: gradient_features.Moments
  weight: float


class Warmup(NamedTuple):
  """What LESS needs of a run.

  Attributes:
    lora: of the adapter.
    base: fingerprint of the network below it.
    checkpoints: by step.
  """

  lora: adapters.Lora
  base: str
  checkpoints: tuple[Checkpoint, ...]

  def identity(self) -> dict:
    """All that gradients depend on, JSON-able."""
    return {
      "lora": {
        "rank": self.lora.rank,
        "alpha": self.lora.alpha,
        "targets": list(self.lora.targets),
      },
      "base": self.base,
      "checkpoints": [
        {
          "step": checkpoint.step,
          "adapter": judges.fingerprint(checkpoint.adapter),
          "moments": judges.fingerprint(checkpoint.moments),
          "learning_rate": checkpoint.weight,
        }
        for checkpoint in self.checkpoints
      ],
    }


def read(
  *, run: str, judge: judges.Judge, steps: Sequence[int] | None = None
) -> Warmup:
  """Reads the warm-up's checkpoints.

  Args:
    run: directory of a run that trained an adapter with Adam.
    judge: the network below it.
    steps: of the checkpoints; None for all that were kept.

  Raises:
    WarmupError: no adapter, no checkpoint of a step, another optimizer, or
      steps without a learning rate.
    CheckpointError: an adapter of another base, or damaged files.
  """
  directory = pathlib.Path(run).absolute()
  record = adapter_files.find(directory)
  if record is None:
    raise WarmupError(
      f"{run}: no run that trained an adapter ({adapter_files.NAME} is not "
      "there): warm up with LoRA first (gin/runs/less_warmup.gin)"
    )
  base = adapter_files.Base(
    json.dumps(judge.name), fingerprints.fingerprint(judge.parameters)
  )
  adapter_files.check_base(record, base, where=run)
  kept = _steps(directory)
  chosen = kept if steps is None else sorted(steps)
  if not chosen or not set(chosen) <= set(kept):
    raise WarmupError(
      f"{run}: checkpoints of the steps {list(steps or ())} are asked for, "
      f"those of {kept} are there: name some of these, or train with another "
      "KEEP_PERIOD"
    )
  rates = _learning_rates(directory)
  found, before = [], 0
  for step in chosen:
    state = _state(directory, step)
    adapter, moments = _parts(state, judge, record.lora, run)
    weight = (step - before) * _mean_rate(rates, before, step, run)
    found.append(Checkpoint(step, adapter, moments, weight))
    before = step
  return Warmup(record.lora, base.fingerprint, tuple(found))


def _steps(directory: pathlib.Path) -> list[int]:
  """Steps of the checkpoints; unfinished ones have other names."""
  folder = directory / _CHECKPOINTS
  if not folder.is_dir():
    return []
  return sorted(int(p.name) for p in folder.iterdir() if p.name.isdecimal())


def _state(directory: pathlib.Path, step: int) -> dict[str, Any]:
  """All arrays of a checkpoint, on the host."""
  path = directory / _CHECKPOINTS / str(step) / _STATE
  try:
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
      tree = checkpointer.metadata(path).item_metadata.tree
      arguments = jax.tree.map(
        lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree
      )
      return checkpointer.restore(
        path, args=ocp.args.PyTreeRestore(restore_args=arguments)
      )
  except Exception as error:  # Orbax raises whatever its storage raises.
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    raise parameter_trees.CheckpointError(
      f"{path}: a file of this checkpoint is missing or cut short; train the "
      f"warm-up again, or leave this step out ({reason})"
    ) from error


def _parts(
  state: dict[str, Any],
  judge: judges.Judge,
  lora: adapters.Lora,
  run: str,
) -> tuple[Any, gradient_features.Moments]:
  """The adapter and Adam's moments, checked, on the judge's devices."""
  found = next(_with_moments(state["optimizer_state"]), None)
  if found is None:
    raise WarmupError(
      f"{run}: its optimizer keeps no moments as Adam does: train the warm-up "
      "with AdamW (gin/runs/less_warmup.gin)"
    )
  expected = {
    name: leaf.shape
    for name, leaf in parameter_trees.flatten(
      adapters.shapes(judge.network, lora)
    ).items()
  }
  trees = (state["parameters"], found["mu"], found["nu"])
  for tree in trees:
    flat = parameter_trees.flatten(tree)
    parameter_trees.check(
      {name: leaf.shape for name, leaf in flat.items()}, expected, where=run
    )
  adapter, first, second = (_placed(tree, judge, lora) for tree in trees)
  count = jnp.asarray(found["count"], jnp.int32)
  return adapter, gradient_features.Moments(count, first, second)


def _placed(tree: Any, judge: judges.Judge, lora: adapters.Lora) -> Any:
  if judge.mesh is None:
    return jax.tree.map(jnp.asarray, tree)
  parameters = partitioning.parameter_shardings(judge.network, judge.mesh)
  shardings = adapters.shardings(judge.network, lora, parameters)
  return jax.tree.map(partitioning.place, tree, shardings)


def _with_moments(state: Any) -> Iterator[dict[str, Any]]:
  """The parts of an optimizer's state that have Adam's moments."""
  if isinstance(state, dict):
    if set(state) >= _MOMENTS:
      yield state
    parts = list(state.values())
  else:
    parts = list(state) if isinstance(state, list | tuple) else []
  for part in parts:
    yield from _with_moments(part)


def _learning_rates(directory: pathlib.Path) -> dict[int, float]:
  """Step to learning rate, of the steps that were logged."""
  path = directory / _METRICS
  if not path.is_file():
    return {}
  rows = map(json.loads, path.read_text().splitlines())
  return {
    row["step"]: row["learning_rate"] for row in rows if "learning_rate" in row
  }


def _mean_rate(
  rates: dict[int, float], before: int, step: int, run: str
) -> float:
  found = [rate for at, rate in rates.items() if before < at <= step]
  if not found or not sum(found) > 0:
    raise WarmupError(
      f"{run}: no learning rate above 0 was logged in the steps {before + 1} "
      f"to {step}: lower Local.log_period, or take other checkpoints"
    )
  return float(np.mean(found))
