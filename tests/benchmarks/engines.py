# SPDX-License-Identifier: Apache-2.0
"""The two engines' train steps without tasks and checkpoints, to be timed.

Both get whole batches from the host at every step, as their loops do.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from flax.core import freeze

from data_efficient.models import networks, partitioning
from data_efficient.training import local, t5x_import, t5x_model
from data_efficient.training.run import Run

Batch = dict[str, np.ndarray]


def random_batch(number: int, run: Run) -> Batch:
  """Random tokens without padding."""
  generator = np.random.default_rng(number)

  def tokens(length: int) -> np.ndarray:
    shape = (run.batch_size, length)
    size = run.network.vocab_size
    return generator.integers(1, size, shape).astype(np.int32)

  lengths = run.task_feature_lengths
  targets = tokens(lengths["targets"])
  return {
    "encoder_input_tokens": tokens(lengths["inputs"]),
    "decoder_input_tokens": np.pad(targets[:, :-1], [(0, 0), (1, 0)]),
    "decoder_target_tokens": targets,
    "decoder_loss_weights": np.ones_like(targets),
  }


def tokens_a_step(run: Run) -> int:
  """Of inputs and targets."""
  return run.batch_size * sum(run.task_feature_lengths.values())


def model_flops(run: Run) -> float:
  """FLOPs of one step's matrix products.

  Forward two a parameter and token that meet, backward four; embeddings are
  looked up. A target sees all targets, masked or not.
  """
  sizes, lengths = run.network, run.task_feature_lengths
  source, target = lengths["inputs"], lengths["targets"]
  products = 0
  leaves = jax.tree_util.tree_leaves_with_path(networks.parameter_shapes(sizes))
  for path, leaf in leaves:
    names = [key.key for key in path]
    if names[0] == "token_embedder" or names[-1] != "kernel":
      continue
    memory = "encoder_decoder_attention" in names and names[-2] in (
      *("key", "value"),
    )
    of_source = memory or names[0] == "encoder"
    products += math.prod(leaf.shape) * (source if of_source else target)
  heads = sizes.num_heads * sizes.head_dim
  products += 2 * heads * sizes.num_encoder_layers * source**2
  products += 2 * heads * sizes.num_decoder_layers * target * (target + source)
  return 6.0 * products * run.batch_size


class Ours:
  """The local engine's compiled step, fed as its loop does."""

  def __init__(self, run: Run, batches: Sequence[Batch]):
    mesh = partitioning.mesh(model_parallel=1)
    with partitioning.activate(mesh):
      functions = local._functions(run, mesh, 1)
      self.state = functions.initial()
      self._rows, self._base = functions.rows, functions.base
      self._train = functions.train.lower(
        self.state, self._placed(batches[0]), self._base
      ).compile()
    self._batches = itertools.cycle(batches)

  def steps(self, count: int) -> float:
    """Takes some steps; the loss of the last one."""
    for batch in itertools.islice(self._batches, count):
      self.state, measured = self._train(
        self.state, self._placed(batch), self._base
      )
    jax.block_until_ready(self.state)
    return float(measured.loss)

  def _placed(self, batch: Batch) -> dict[str, jax.Array]:
    return {
      name: partitioning.place(array, self._rows)
      for name, array in batch.items()
    }


class T5X:
  """T5X's trainer with our network, its own Adafactor and partitioner."""

  def __init__(self, run: Run, batches: Sequence[Batch], parameters: Any):
    """Compiles; starts from these parameters, which are its own then."""
    trainer, utils = map(t5x_import.module, ("trainer", "utils"))
    model = t5x_model.model(run.network, run.task, z_loss=run.z_loss)
    partitioner = t5x_model.partitioner(1)
    initializer = utils.TrainStateInitializer(
      optimizer_def=model.optimizer_def,
      init_fn=model.get_initial_variables,
      input_shapes={name: array.shape for name, array in batches[0].items()},
      input_types={name: array.dtype for name, array in batches[0].items()},
      partitioner=partitioner,
    )
    key = jax.random.PRNGKey(run.seed)
    state = initializer.from_scratch(key).replace_params(freeze(parameters))
    self._trainer = trainer.Trainer(
      model=model,
      train_state=state,
      partitioner=partitioner,
      eval_names=(),
      summary_dir=None,
      train_state_axes=initializer.train_state_axes,
      rng=key,
      learning_rate_fn=run.schedule,
      num_microbatches=None,
    )
    self._trainer.compile_train(batches[0])
    self._batches = itertools.cycle(batches)

  def steps(self, count: int) -> Callable[[], float]:
    """Takes some steps; returns what gives their mean loss a token."""
    metrics = self._trainer.train(self._batches, count)
    jax.block_until_ready(self._trainer.train_state)
    return lambda: float(metrics.result()["token_loss"].value)
