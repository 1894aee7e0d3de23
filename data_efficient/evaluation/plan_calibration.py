# SPDX-License-Identifier: Apache-2.0
"""Seconds on this machine, from a few real steps after their compilation.

What would take too long is measured smaller: fewer layers, then fewer rows,
and scaled by FLOPs. Layers are alike, so that a few of them run at the rate
of all; fewer rows may not. It is said in the plan.
"""

import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from data_efficient.evaluation import plan_memory, plan_scoring, plan_training
from data_efficient.models import decoder_only, networks, partitioning
from data_efficient.scorers import judges

Clock = Callable[[], float]

# A measurement is the median of so many.
_REPEATS = 3
# Steps are repeated until a measurement takes so long.
_LEAST_SECONDS = 0.1
# What part of the rate of a plain product a network may be expected to reach,
# to foresee how long its steps take.
_EXPECTED = 0.3


class Scoring(NamedTuple):
  """Of a corpus, on all devices of this process.

  Attributes:
    device_seconds: of all batches.
    host_seconds: of the thread that tokenizes, packs and unpacks.
    overlapped: whether the two go on at once; on a CPU they share the cores.
    measured: on what, in words.
  """

  device_seconds: float
  host_seconds: float
  overlapped: bool
  measured: str

  @property
  def seconds(self) -> float:
    """From the first record to the last."""
    if self.overlapped:
      return max(self.device_seconds, self.host_seconds)
    return self.device_seconds + self.host_seconds


class Training(NamedTuple):
  """Of a run, its data not counted; see `Scoring`."""

  seconds: float
  measured: str


def machine() -> str:
  """The devices of this process, in words."""
  devices = jax.local_devices()
  return f"this machine ({len(devices)} × {devices[0].device_kind})"


def product_rate(dtype: str, clock: Clock = time.perf_counter) -> float:
  """FLOP/s of a plain product of matrices on one device."""
  size = 1024 if jax.default_backend() == "cpu" else 8192
  left = jnp.ones((size, size), dtype)
  multiply = jax.jit(jnp.matmul)
  seconds = _timed(lambda: multiply(left, left), clock)
  return 2.0 * size**3 / seconds


def scoring(
  scorer: plan_scoring.Scorer,
  work: plan_scoring.Work,
  *,
  seconds: float | int,
  clock: Clock = time.perf_counter,
) -> Scoring:
  """Times one batch of each shape.

  Args:
    scorer: with a judge of `plan_scoring.judge`.
    work: its work on the corpus.
    seconds: what the calibration may take, about, but for compilation.
    clock: returns seconds: wall clock, or a process's CPU time.
  """
  judge = scorer.judge
  devices = judge.mesh.size if judge.mesh else 1
  rate = _EXPECTED * product_rate(judge.network.dtype) * devices
  most = rate * seconds / (len(work.batches) * (_REPEATS + 1))
  rows, length = work.batches[-1].example.shape
  one = plan_scoring.flops_of(judge.network, work.answers, length)
  layers = _layers(judge.network, one * rows, most)
  smaller = _shallow(judge.network, layers)
  real = dataclasses.replace(scorer, judge=_random(judge, smaller))
  total, fewest = 0.0, 1.0
  for batch in work.batches:
    rows, length = batch.example.shape
    whole = plan_scoring.flops_of(judge.network, work.answers, length) * rows
    each = plan_scoring.flops_of(smaller, work.answers, length)
    timed = _rows(rows, most / each, judge.rows_multiple)
    arrays = batch.example[:timed]
    step = _timed(lambda arrays=arrays: real.step(arrays), clock)
    total += batch.count * step * whole / (each * timed)
    fewest = min(fewest, timed / rows)
  return Scoring(
    total,
    work.host_seconds,
    overlapped=jax.default_backend() != "cpu",
    measured=f"{len(work.batches)} shapes; "
    + _words(fewest, layers, judge.network),
  )


def training(
  run: plan_training.Training,
  *,
  seconds: float | int,
  clock: Clock = time.perf_counter,
) -> Training:
  """Times a few train steps.

  Where rows are left out, steps of two sizes tell what a step costs whatever
  its rows (the optimizer) from what a row costs.
  """
  mesh = partitioning.mesh(model_parallel=1, devices=jax.local_devices())
  multiple = mesh.size * run.microbatches
  rate = _EXPECTED * product_rate(run.network.dtype) * mesh.size
  most = rate * seconds / (2 * (_REPEATS + 1))
  each = run.flops_of_a_row.executed
  layers = _layers(run.network, each * run.batch, most)
  smaller = dataclasses.replace(run, network=_shallow(run.network, layers))
  ratio = each / smaller.flops_of_a_row.executed
  rows = _rows(run.batch, most / smaller.flops_of_a_row.executed, multiple)
  one = _step(dataclasses.replace(smaller, batch=rows), mesh, clock)
  if rows == run.batch:
    return Training(run.steps * one * ratio, _words(1.0, layers, run.network))
  fewer = max(multiple, rows // 2 // multiple * multiple)
  fewer = fewer if fewer < rows else 2 * rows
  other = _step(dataclasses.replace(smaller, batch=fewer), mesh, clock)
  of_a_row = max((other - one) / (fewer - rows), 0.0)
  always = max(one - of_a_row * rows, 0.0)
  always *= (
    plan_memory.parameters(run.network).count
    / plan_memory.parameters(smaller.network).count
  )
  return Training(
    run.steps * (always + of_a_row * ratio * run.batch),
    _words(max(rows, fewer) / run.batch, layers, run.network),
  )


def _step(run: plan_training.Training, mesh, clock: Clock) -> float:
  """Seconds of one train step, its batch coming from the host."""
  rows = partitioning.batch_sharding(mesh)
  batch = plan_training.random_batch(run, 0)
  with partitioning.activate(mesh):
    placed = plan_training.shardings(run, mesh)
    initial = jax.jit(plan_training.state(run), out_shardings=placed)
    kept = {"state": initial()}
    train = plan_training.jitted(run, mesh)

    def step() -> Any:
      on_devices = {
        name: partitioning.place(array, rows) for name, array in batch.items()
      }
      kept["state"], metrics = train(kept["state"], on_devices)
      return metrics

    return _timed(step, clock)


def _timed(
  step: Callable[[], Any], clock: Clock, *, patience: float = 2.0
) -> float:
  """Seconds of a step, warm: the median of a few measurements.

  Of one that takes longer than `patience`, in seconds, the only one.
  """
  jax.block_until_ready(step())  # which compiles
  once = _run(step, clock, 1)
  if once > patience:
    return once
  count = max(1, round(_LEAST_SECONDS / max(once, 1e-6)))
  return statistics.median(_run(step, clock, count) for _ in range(_REPEATS))


def _run(step: Callable[[], Any], clock: Clock, count: int) -> float:
  """Seconds of one of so many steps."""
  began = clock()
  for _ in range(count):
    last = step()
  jax.block_until_ready(last)
  return (clock() - began) / count


def _rows(rows: int, affordable: float, multiple: int) -> int:
  """So many of a batch's rows, a multiple of the devices."""
  return min(rows, max(1, int(affordable) // multiple) * multiple)


def _layers(network: networks.Network, whole: float, most: float) -> int:
  """Layers of a stack that are timed.

  Args:
    network: the whole.
    whole: FLOPs of a step of all rows.
    most: FLOPs that a step may have.
  """
  layers = network.num_decoder_layers
  memory = 4.0 * plan_memory.parameters(network).count / (0.4 * _memory())
  share = 1.0 / max(whole / most, memory, 1.0)
  return max(1, min(layers, int(layers * share)))


def _shallow(network: networks.Network, layers: int) -> networks.Network:
  if layers == network.num_decoder_layers:
    return network
  changes = {"num_decoder_layers": layers}
  if not isinstance(network, decoder_only.DecoderOnlyConfig):
    changes["num_encoder_layers"] = min(layers, network.num_encoder_layers)
  return dataclasses.replace(network, **changes)


def _memory() -> float:
  """Bytes of a device, or of the host where that has no memory of its own."""
  stats = jax.local_devices()[0].memory_stats() or {}
  host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  return float(stats.get("bytes_limit", host))


def _random(judge: judges.Judge, network: networks.Network) -> judges.Judge:
  """The judge with random parameters, stored as loaded ones are."""
  dtypes = networks.operand_dtypes(network)

  def initial() -> networks.Parameters:
    found = networks.init_parameters(network, jax.random.key(0))
    return jax.tree.map(lambda leaf, d: leaf.astype(d), found, dtypes)

  shardings = (
    partitioning.parameter_shardings(network, judge.mesh)
    if judge.mesh
    else None
  )
  parameters = jax.jit(initial, out_shardings=shardings)()
  return dataclasses.replace(judge, network=network, parameters=parameters)


def _words(rows: float, layers: int, network: networks.Network) -> str:
  """What was timed, in words."""
  found = []
  if rows < 1.0:
    found.append(f"{rows:.2g} of a batch's rows")
  if layers < network.num_decoder_layers:
    found.append(f"{layers} of {network.num_decoder_layers} layers a stack")
  if not found:
    return "whole steps"
  return " and ".join(found) + ", scaled by FLOPs"
