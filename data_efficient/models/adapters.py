# SPDX-License-Identifier: Apache-2.0
"""Low-rank adapters of a network's projections (LoRA).

    y = x W + (alpha / rank) · dropout(x) A B

(Hu et al. 2021, arXiv 2106.09685, Section 4.1; the dropout as in its Section
D.) W stays as it is; A and B are a tree of their own, beside the parameters,
with the nesting of theirs: {..., "query": {"a": [i, r], "b": [r, o]}}. Calls of
`layers.Dense` and `layers.Kernel` are intercepted, so that any network of ours
has adapters, whatever way it is called: trained, read in pieces, decoded.
"""

import contextlib
import dataclasses
import fnmatch
import functools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import NamedSharding, PartitionSpec, Sharding
from jaxtyping import Array, Float

from data_efficient.models import layers, networks, parameter_trees

ALL_LINEAR = "all-linear"

# A nested dict of arrays; its leaves are named "a" and "b".
Adapter = dict[str, Any]

_HEAD = "logits_dense"
_KERNEL = "/kernel"
# Of A, a normal distribution, times the number of inputs: what the authors'
# code draws uniformly has this variance.
_VARIANCE = 1.0 / 3.0


class AdapterError(ValueError):
  """An adapter that fits no projection, or not this network."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lora:
  """Which projections are adapted, and how.

  Attributes:
    rank: r, inner width of A B; at least 1.
    alpha: the product is multiplied with alpha / rank.
    dropout_rate: of the adapters' inputs, in [0, 1); the network's own dropout
      is that of its config.
    targets: patterns of module paths ("query", "decoder/*/wo"), as in a shell:
      each is that of a whole path or of its end. ("all-linear",) is every
      projection but the head, as QLoRA has it (arXiv 2305.14314).
  """

  rank: int
  alpha: float
  dropout_rate: float
  targets: Sequence[str] = (ALL_LINEAR,)

  def __post_init__(self):
    """Refuses what cannot be computed; makes `targets` hashable."""
    if isinstance(self.targets, str):
      object.__setattr__(self, "targets", (self.targets,))
    object.__setattr__(self, "targets", tuple(self.targets))
    if self.rank < 1:
      raise AdapterError(f"Lora.rank = {self.rank}: expected at least 1")
    if not self.alpha > 0.0:
      raise AdapterError(f"Lora.alpha = {self.alpha}: expected more than 0")
    if not 0.0 <= self.dropout_rate < 1.0:
      raise AdapterError(
        f"Lora.dropout_rate = {self.dropout_rate}: expected [0, 1)"
      )
    if not self.targets:
      raise AdapterError(
        f"Lora.targets is empty: name modules, or {ALL_LINEAR!r}"
      )

  @property
  def scale(self) -> float:
    """What A B is multiplied with."""
    return self.alpha / self.rank


def shapes(network: networks.Network, lora: Lora) -> Adapter:
  """The adapter's tree as `jax.ShapeDtypeStruct`s, float32.

  Raises:
    AdapterError: a target that is no projection of the network.
  """
  return parameter_trees.unflatten(
    {
      f"{path}/{name}": jax.ShapeDtypeStruct(shape, jnp.float32)
      for path, (inputs, outputs) in _targets(network, lora).items()
      for name, shape in (
        ("a", (inputs, lora.rank)),
        ("b", (lora.rank, outputs)),
      )
    }
  )


def shardings(
  network: networks.Network, lora: Lora, parameters: networks.Parameters
) -> Adapter:
  """A tree like the adapter's, with the sharding of each array.

  A lies along the inputs of its projection and B along the outputs, as the
  projection does itself; the rank is whole everywhere.

  Args:
    network: any.
    lora: of the adapter.
    parameters: a tree like the network's parameters, of their shardings.
  """
  places = parameter_trees.flatten(parameters)
  return parameter_trees.unflatten(
    {
      f"{path}/{name}": _along(places[path + _KERNEL], axis)
      for path in _targets(network, lora)
      for axis, name in enumerate(("a", "b"))
    }
  )


def _along(kernel: Sharding, axis: int) -> Sharding:
  """The sharding of a matrix that shares one axis with a kernel."""
  if not isinstance(kernel, NamedSharding):
    return kernel
  spec: list[Any] = [None, None]
  spec[axis] = (*kernel.spec, None, None)[axis]
  return NamedSharding(kernel.mesh, PartitionSpec(*spec))


@functools.partial(jax.jit, static_argnames=("network", "lora"))
def init(network: networks.Network, lora: Lora, key: Array) -> Adapter:
  """An adapter that changes nothing yet: A normal, B zero.

  Each array depends on the key and its own path alone.
  """
  draw = nn.initializers.variance_scaling(_VARIANCE, "fan_in", "normal")

  def made(path: str, shape: jax.ShapeDtypeStruct) -> Array:
    if path.endswith("/b"):
      return jnp.zeros(shape.shape, shape.dtype)
    own = jax.random.fold_in(key, zlib.crc32(path.encode()))
    return draw(own, shape.shape, shape.dtype)

  flat = parameter_trees.flatten(shapes(network, lora))
  return parameter_trees.unflatten(
    {path: made(path, shape) for path, shape in flat.items()}
  )


def logits(
  network: networks.Network,
  parameters: networks.Parameters,
  adapter: Adapter,
  batch: Mapping[str, Any],
  *,
  lora: Lora,
  dropout: Array | None,
) -> Float[Array, "b t v"]:
  """Logits, float32, of every target position of a batch.

  Args:
    network: any.
    parameters: its own; a gradient for the adapter alone computes none of
      theirs.
    adapter: as `init` makes it.
    batch: see `networks.logits`.
    lora: of the adapter.
    dropout: key of the dropout, the network's and the adapters'; None for
      none.
  """
  with applied(adapter, lora, dropout=dropout is not None):
    return networks.logits(network, parameters, batch, dropout=dropout)


@contextlib.contextmanager
def applied(
  adapter: Adapter, lora: Lora, *, dropout: bool = False
) -> Iterator[None]:
  """Inside, networks that are applied have the adapter.

  Enter it in what is jitted, not around it: a function that was compiled
  before would be found again as it was.

  Args:
    adapter: as `init` makes it, of the networks that are applied inside.
    lora: of the adapter.
    dropout: whether its inputs are dropped; needs an rng named "dropout".
  """
  flat = parameter_trees.flatten(adapter)

  def intercept(call: Any, arguments: Any, keywords: Any, context: Any) -> Any:
    module = context.module
    result = call(*arguments, **keywords)
    if context.method_name != "__call__":
      return result
    if not isinstance(module, layers.Dense | layers.Kernel):
      return result
    path = "/".join(module.path)
    if f"{path}/a" not in flat:
      return result
    a, b = flat[f"{path}/a"], flat[f"{path}/b"]
    if isinstance(module, layers.Kernel):
      return _sum(result, a, b, scale=lora.scale)
    (x,) = arguments
    if dropout and lora.dropout_rate:
      x = _dropped(x, lora.dropout_rate, module.make_rng("dropout"))
    inner = layers.einsum("bti,ir->btr", x, a, dtype=module.dtype)
    change = layers.einsum("btr,ro->bto", inner, b, dtype=module.dtype)
    return result + lora.scale * change

  with nn.intercept_methods(intercept):
    yield


def merged(
  parameters: networks.Parameters, adapter: Adapter, lora: Lora
) -> networks.Parameters:
  """The parameters of a network that needs no adapter: W + (alpha / r) A B.

  The sum is float32, then of the type that W is kept in.

  Args:
    parameters: of the network; they stay as they are.
    adapter: as `init` makes it.
    lora: of the adapter.

  Raises:
    AdapterError: the adapter of a module that the network has not, or that has
      other sizes there.
  """
  flat = parameter_trees.flatten(parameters)
  # Each kernel can go as soon as its sum is there, if nobody else has it.
  del parameters
  changes = parameter_trees.flatten(adapter)
  for path in sorted({name.rpartition("/")[0] for name in changes}):
    a, b = changes[f"{path}/a"], changes[f"{path}/b"]
    kernel = flat.pop(path + _KERNEL, None)
    found = None if kernel is None else kernel.shape
    if found != (a.shape[0], b.shape[1]):
      raise AdapterError(
        f"the adapter of {path} is for a kernel {(a.shape[0], b.shape[1])},"
        f" the network's is {found}: use the network it was trained on"
      )
    flat[path + _KERNEL] = _sum(kernel, a, b, scale=lora.scale)
  return parameter_trees.unflatten(flat)


@functools.partial(jax.jit, static_argnames="scale")
def _sum(kernel: Array, a: Array, b: Array, *, scale: float) -> Array:
  product = jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
  total = kernel.astype(jnp.float32) + scale * product
  return total.astype(kernel.dtype)


def _dropped(x: Array, rate: float, key: Array) -> Array:
  kept = jax.random.bernoulli(key, 1.0 - rate, x.shape)
  return jnp.where(kept, x / (1.0 - rate), 0.0)


@functools.lru_cache
def _targets(
  network: networks.Network, lora: Lora
) -> dict[str, tuple[int, int]]:
  """The projections that are adapted: module path to inputs and outputs."""
  every = {
    name.removesuffix(_KERNEL): shape.shape
    for name, shape in parameter_trees.flatten(
      networks.parameter_shapes(network)
    ).items()
    if name.endswith(_KERNEL)
  }
  chosen: set[str] = set()
  for pattern in lora.targets:
    found = [path for path in every if _matches(path, pattern)]
    if not found:
      known = sorted({path.rpartition("/")[2] for path in every})
      raise AdapterError(
        f"Lora.targets: no projection of {type(network).__name__} matches"
        f" {pattern!r}; its projections are called {', '.join(known)}, such as"
        f" {next(iter(every))}"
      )
    chosen.update(found)
  return {path: every[path] for path in every if path in chosen}


def _matches(path: str, pattern: str) -> bool:
  if pattern == ALL_LINEAR:
    return path.rpartition("/")[2] != _HEAD
  return any(fnmatch.fnmatchcase(path, p) for p in (pattern, f"*/{pattern}"))
