# SPDX-License-Identifier: Apache-2.0
"""The local engine's train step beside T5X's trainer, and what is possible.

Same network, same first parameters, same batches from the host, same devices;
the first step of both must give the same loss. Steps run one after the other
without waiting; compiling is not counted. What is possible is the rate of a
large matrix product. FLOPs are the model's: the products of forward and
backward pass, whatever is computed again or beside them.

On an accelerator, T5 Large as the paper trains it:

  python -m tests.benchmarks.train_step --network=t5_1_1_large \
    --dtype=bfloat16 --batch=32 --inputs=512 --targets=114 --peak_tflops=989
"""

import argparse
import dataclasses
import functools
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from absl import logging  # noqa: E402

from data_efficient import gin_config  # noqa: E402
from data_efficient.models import encoder_decoder, networks  # noqa: E402
from data_efficient.training import optimizers, t5x_import  # noqa: E402
from data_efficient.training.run import Run  # noqa: E402
from tests.benchmarks import engines, report  # noqa: E402
from tests.t5x import tiny  # noqa: E402

# More of the time of this one is spent in matrix products.
WIDE = {
  **{"emb_dim": 512, "num_heads": 8, "head_dim": 64, "mlp_dim": 1024},
  **{"num_encoder_layers": 4, "num_decoder_layers": 4},
}
_BATCHES = 4  # different ones, in turn


def network(name: str, **changes: Any) -> encoder_decoder.T5Config:
  """The network of gin/models/NAME.gin, or "wide"."""
  file = "t5_1_1_quickstart" if name == "wide" else name
  gin_config.parse(
    [
      *("gin/runs/train.gin", "gin/data/files.gin", "gin/engines/local.gin"),
      *("gin/data/vocabulary_file.gin", f"gin/models/{file}.gin"),
    ],
    [
      *("FILES=x", "PREPARED=x", "VOCABULARY_FILE=x"),
      *("SELECTION=x", "OUTPUT=x"),
    ],
  )
  found = gin_config.configured(encoder_decoder.T5Config)()
  wide = WIDE if name == "wide" else {}
  return dataclasses.replace(found, **wide, **changes)


def gemm(size: int, dtype: str) -> Callable[[int], None]:
  """A function that multiplies `size` × `size` matrices so many times."""
  left, right = (
    jax.random.normal(jax.random.key(number), (size, size)) / math.sqrt(size)
    for number in range(2)
  )
  left, right = left.astype(dtype), right.astype(dtype)

  @jax.jit
  def product(left, right):
    return jnp.matmul(left, right, preferred_element_type=dtype)

  def run(count: int) -> None:
    found = left
    for _ in range(count):
      found = product(found, right)
    found.block_until_ready()

  return run


def timed(
  function: Callable[[int], Any], units: float, *, seconds: float
) -> float:
  """Units a second of a function that does so many, as often as it is told.

  A first call finds how often fills the seconds.
  """
  one = _seconds(function, 1)
  count = max(1, round(seconds / one))
  return count * units / _seconds(function, count)


def _seconds(function: Callable[[int], Any], count: int) -> float:
  began = time.perf_counter()
  function(count)
  return time.perf_counter() - began


def compare(
  name: str, run: Run, missing: str, options: argparse.Namespace
) -> dict:
  """Measures one network; prints its table and returns its figures."""
  batches = [engines.random_batch(number, run) for number in range(_BATCHES)]
  ours = engines.Ours(run, batches)
  theirs = None if missing else _theirs(run, batches, ours)
  if not theirs:
    ours.steps(1)
  product = gemm(options.gemm, run.network.dtype)
  product(1)
  tokens, flops = engines.tokens_a_step(run), engines.model_flops(run)
  units = {"local": (ours.steps, tokens)}
  if theirs:
    units["T5X"] = (theirs.steps, tokens)
  units["GEMM"] = (product, 2 * options.gemm**3)
  sides = {
    side: functools.partial(timed, function, each, seconds=options.seconds)
    for side, (function, each) in units.items()
  }
  found = report.alternating(sides, options.repeats)
  middle = {side: statistics.median(rates) for side, rates in found.items()}
  possible = middle["GEMM"] * tokens / flops
  ratios = report.paired(found["local"], found["T5X"]) if theirs else []
  rows = [
    (side, report.spread(found[side]), middle[side] / possible)
    for side in ("local", "T5X")
    if side in found
  ]
  if missing:
    rows.append(("T5X", missing, ""))
  rate = f"{middle['GEMM'] / 1e9:,.4g} GFLOP/s"
  rows.append((f"GEMM of {options.gemm}, {rate}", f"{possible:,.4g}", 1.0))
  report.table(
    f"train_step, {name}, {run.network.dtype}: {run.batch_size} ×"
    f" {dict(run.task_feature_lengths)}, {flops / 1e9:,.4g} GFLOP a step,"
    f" {jax.device_count()} × {jax.devices()[0].device_kind}",
    ["", "tokens/s: median (range)", "of the GEMM rate"],
    rows,
  )
  figures = {
    "ours": middle["local"],
    "peer": middle.get("T5X"),
    "ratio": statistics.median(ratios) if ratios else None,
    "limit_fraction": middle["local"] / possible,
    "network": name,
    "model_flops_per_second": middle["local"] * flops / tokens,
  }
  if options.peak_tflops:
    peak = options.peak_tflops * 1e12 * jax.device_count()
    figures["mfu"] = figures["model_flops_per_second"] / peak
  return figures


def _theirs(
  run: Run, batches: Sequence[engines.Batch], ours: engines.Ours
) -> engines.T5X:
  """T5X from our parameters; both have taken their first step."""
  # The step gives the buffers of the state away.
  theirs = engines.T5X(
    run, batches, jax.tree.map(jnp.copy, ours.state.parameters)
  )
  losses = ours.steps(1), theirs.steps(1)()
  tolerance = 1e-4 if run.network.dtype == "float32" else 1e-2
  if not math.isclose(*losses, rel_tol=tolerance):
    raise SystemExit(f"the first step's losses differ: {losses}")
  return theirs


def _missing() -> str:
  """Why there is no T5X; nothing where there is.

  Asked before gin files are read: T5X registers its functions with gin, which
  takes none afterwards.
  """
  try:
    t5x_import.module("trainer")
  except t5x_import.T5XError as error:
    return f"not measured: {str(error).split(':')[0]}"
  return ""


def main() -> None:
  """Measures the network that is asked for, or two."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  on_cpu = jax.default_backend() == "cpu"
  parser.add_argument(
    "--network", help="wide, or a file of gin/models; else two of them"
  )
  parser.add_argument("--dtype", choices=["float32", "bfloat16"])
  parser.add_argument("--remat", choices=["none", "minimal", "full"])
  parser.add_argument("--batch", type=int, default=8)
  parser.add_argument("--inputs", type=int, default=192)
  parser.add_argument("--targets", type=int, default=44)
  parser.add_argument(
    "--seconds", type=float, default=2.0, help="a measurement"
  )
  parser.add_argument("--repeats", type=int, default=5)
  parser.add_argument("--gemm", type=int, default=2048 if on_cpu else 8192)
  parser.add_argument("--peak_tflops", type=float, help="of one device")
  options = parser.parse_args()
  changes = {name: getattr(options, name) for name in ("dtype", "remat")}
  changes = {name: value for name, value in changes.items() if value}
  names = [options.network] if options.network else ["t5_1_1_quickstart"]
  names += [] if options.network else ["wide"]
  task = tiny.register("train_step", number=0, count=1)
  # T5X's Adafactor warns of every array for which it needs no rule.
  logging.set_verbosity(logging.ERROR)
  missing = _missing()
  figures = []
  for name in names:
    run = _run(network(name, **changes), task, options)
    figures.append(compare(name, run, missing, options))
  others = {
    f"{found['network']}_{key}": value
    for found in figures[:-1]
    for key, value in found.items()
  }
  report.last_line("train_step", **figures[-1], **others)


def _run(
  sizes: networks.Network, task: str, options: argparse.Namespace
) -> Run:
  lengths = {"inputs": options.inputs, "targets": options.targets}
  return Run(
    directory="",
    network=sizes,
    task=task,
    evaluation_tasks={},
    task_feature_lengths=lengths,
    batch_size=options.batch,
    steps=1,
    evaluation_period=1,
    evaluation_batches=0,
    checkpoint_period=1,
    seed=0,
    schedule=optimizers.rsqrt(base=0.03, warmup_steps=10),
    z_loss=1e-4,
  )


if __name__ == "__main__":
  main()
