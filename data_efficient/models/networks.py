# SPDX-License-Identifier: Apache-2.0
"""What training, sharding and checkpoints need to know of any network.

A network is a frozen dataclass of sizes that makes a Flax module. The module
is called with the features of a seqio converter by their names, so that one
train step serves encoder–decoders and language models alike.
"""

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.core import unfreeze
from flax.linen import partitioning
from jaxtyping import Array, Float

# A nested dict of arrays, as Flax keeps it.
Parameters = dict[str, Any]


@runtime_checkable
class Network(Protocol):
  """The sizes of a network; hashable.

  Attributes:
    vocab_size: token ids, and width of the logits.
    dtype: what the operands of its matmuls are rounded to.
    dropout_rate: in [0, 1).
    required: features that every batch for it has, int [b, t].
    optional: features that it uses where a batch has them.
  """

  vocab_size: int
  dtype: str
  dropout_rate: float
  required: ClassVar[tuple[str, ...]]
  optional: ClassVar[tuple[str, ...]]

  def module(self) -> nn.Module:
    """A module whose call takes the features and `enable_dropout`."""


def logits(
  network: Network,
  parameters: Parameters,
  batch: Mapping[str, Any],
  *,
  dropout: Array | None,
) -> Float[Array, "b t v"]:
  """Logits, float32, of every target position of a batch.

  Args:
    network: any.
    parameters: its own.
    batch: features by name; those that the network has no use for are ignored.
    dropout: key of the dropout; None for none.
  """
  names = (*network.required, *(n for n in network.optional if n in batch))
  return network.module().apply(
    {"params": parameters},
    **{name: batch[name] for name in names},
    enable_dropout=dropout is not None and network.dropout_rate > 0.0,
    rngs=None if dropout is None else {"dropout": dropout},
  )


def _variables(network: Network, key: Array) -> dict[str, Any]:
  token = jnp.ones((1, 1), jnp.int32)
  return network.module().init(
    key, **{name: token for name in network.required}
  )


@functools.partial(jax.jit, static_argnames="network")
def init_parameters(network: Network, key: Array) -> Parameters:
  """Random parameters: a nested dict of float32 arrays."""
  return _variables(network, key)["params"]


def parameter_shapes(network: Network) -> Parameters:
  """The parameter tree as `jax.ShapeDtypeStruct`s; allocates nothing."""
  return _abstract(network)["params"]


def parameter_axes(network: Network) -> Parameters:
  """The parameter tree with each array's logical axis names."""
  return unfreeze(
    partitioning.get_axis_names(_abstract(network)["params_axes"])
  )


def operand_dtypes(network: Network) -> Parameters:
  """What each parameter can be stored as without changing a forward pass.

  Kernels are rounded to `network.dtype` before every product, so they may be
  kept rounded; the head, embeddings and norms are used in float32.
  """

  def dtype(path: Any, shape: Any) -> str:
    del shape
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    rounded = name.endswith("/kernel") and "logits_dense" not in name
    return network.dtype if rounded else "float32"

  return jax.tree_util.tree_map_with_path(dtype, parameter_shapes(network))


def parameter_count(network: Network) -> int:
  """Number of parameters, embedding and head included."""
  shapes = jax.tree.leaves(parameter_shapes(network))
  return sum(int(np.prod(shape.shape)) for shape in shapes)


@functools.lru_cache
def _abstract(network: Network) -> dict[str, Any]:
  # Seconds of tracing for the large ones; nobody changes it.
  key = jax.eval_shape(lambda: jax.random.key(0))
  return jax.eval_shape(functools.partial(_variables, network), key)
