# SPDX-License-Identifier: Apache-2.0
"""Our network, optimizer and parameters, as T5X wants them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import seqio
from flax.core import freeze

from data_efficient.models import (
  checkpoints,
  encoder_decoder,
  networks,
  partitioning,
)
from data_efficient.training import batches
from data_efficient.training.t5x_import import T5XError, module


def model(network: networks.Network, task: str, *, z_loss: float) -> Any:
  """T5X's model of an encoder–decoder; it decodes greedily.

  Args:
    network: a T5 1.1.
    task: registered seqio task, for its vocabularies.
    z_loss: coefficient of (log Z)²; of no account for inference.

  Raises:
    T5XError: another kind of network.
  """
  if not isinstance(network, encoder_decoder.T5Config):
    raise T5XError(
      f"the engine t5x runs T5 1.1 alone, not {type(network).__name__}: choose"
      " another MODEL, or the engine `local`"
    )
  losses, decoding = module("losses"), module("decoding")
  features = seqio.get_mixture_or_task(task).output_features
  return _measured(module("models").EncoderDecoderModel)(
    module=network.module(),
    input_vocabulary=features["inputs"].vocabulary,
    output_vocabulary=features["targets"].vocabulary,
    feature_converter_cls=batches.converter_class(network, task),
    optimizer_def=adafactor(),
    # T5X's default is a beam search.
    decode_fn=functools.partial(decoding.temperature_sample, temperature=0.0),
    z_loss=z_loss,
    # A mean, as in the local engine; T5X's default is the sum.
    loss_normalizing_factor=(
      losses.SpecialLossNormalizingFactor.NUM_REAL_TARGET_TOKENS
    ),
  )


def adafactor() -> Any:
  """T5X's Adafactor with the settings of its T5 1.1.

  Its second moments count from step 0. A fine-tuning run begins there with
  new ones, which is what T5X's `step_offset` does to restored ones: at the
  first step the decay 1 − t^−0.8 is 0.
  """
  theirs = module("adafactor")
  return theirs.Adafactor(
    decay_rate=0.8,
    step_offset=0,
    logical_factor_rules=theirs.standard_logical_factor_rules(),
  )


def partitioner(model_parallel: int) -> Any:
  """T5X's partitioner, with our rules, over all devices."""
  cls = module("partitioning").PjitPartitioner
  rules = partitioning.RULES
  if jax.default_backend() == "cpu":
    # T5X gives all CPU devices to the model axis unless told the submesh.
    submesh = (1, model_parallel)
    return cls(model_parallel_submesh=submesh, logical_axis_rules=rules)
  return cls(num_partitions=model_parallel, logical_axis_rules=rules)


def initializer(network: networks.Network, checkpoint: str) -> type:
  """A class of initial states that start from a checkpoint's parameters."""

  class FromCheckpoint(module("utils").TrainStateInitializer):
    """The optimizer starts afresh."""

    def from_scratch(self, init_rng):
      """A new state with the checkpoint's parameters."""
      found = _parameters(self._partitioner, network, checkpoint)
      return super().from_scratch(init_rng).replace_params(found)

  return FromCheckpoint


def reader(network: networks.Network) -> type:
  """A class of checkpoint managers that read any format, in float32."""

  class Reader:
    """Only reads."""

    def __init__(self, *, train_state, partitioner, **_):
      """`train_state` has the shapes of what will be read."""
      self._state, self._partitioner = train_state, partitioner

    def restore(self, *, path, **_):
      """The state of a checkpoint, without its optimizer."""
      found = _parameters(self._partitioner, network, path)
      state = self._state.replace_step(jnp.zeros((), jnp.int32))
      return state.replace_params(found)

  return Reader


def _parameters(
  partitioner: Any, network: networks.Network, checkpoint: str
) -> Any:
  found = checkpoints.load_parameters(
    checkpoint,
    config=network,
    # T5X's mesh has our axes, and its partitioner our rules.
    shardings=partitioning.parameter_shardings(network, partitioner.mesh),
  )
  return freeze(found)


def _measured(base: type) -> type:
  """The model class with metrics that are exact over many batches."""
  import clu.metrics

  sums = module("metrics")

  class Model(base):
    """Adds the mean loss of a token and the number of tokens."""

    def _compute_metrics(
      self, logits, targets, mask, loss, z_loss=None, segment_ids=None
    ):
      found = super()._compute_metrics(
        logits, targets, mask, loss, z_loss, segment_ids
      )
      # A mask of whole numbers would be divided by in another precision.
      weight = jnp.asarray(mask, jnp.float32).sum()
      found["token_loss"] = clu.metrics.Average(
        total=(loss - z_loss) * weight, count=weight
      )
      found["tokens"] = sums.Sum(
        sum((kept != 0).sum() for kept in segment_ids.values())
      )
      return found

  return Model
