# SPDX-License-Identifier: Apache-2.0
"""The networks that were trained: their names, sizes and which is the main one.

A network is what `compared_by["network"]` of a run.json says: its sizes and
numerics. Runs of two networks are never compared with each other, but for
over-scaling and effective model size, which are about just that. How large one
is, is said by its parameters without embeddings, as scaling laws do (Kaplan et
al. 2020, arXiv 2001.08361, Section 2.1): most of a small T5's are embeddings.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from data_efficient.evaluation import names
from data_efficient.evaluation.admission import by_network
from data_efficient.evaluation.runs import NETWORK, Run

_UNKNOWN = "unknown network"
# Names of the arrays, in T5X's parameter tree, that have a row a token id.
_EMBEDDINGS = ("token_embedder", "logits_dense")
_FIELDS = ("emb_dim", "num_heads", "mlp_dim")


class Network(NamedTuple):
  """One network of an experiment, with its runs.

  Attributes:
    name: unique in the experiment.
    parameters: all; None where run.json does not state a network of ours.
    non_embedding_parameters: less the token embeddings and the output head.
    runs: its runs.
  """

  name: str
  parameters: int | None
  non_embedding_parameters: int | None
  runs: list[Run]

  def describe(self) -> dict[str, Any]:
    """Its entry in results.json."""
    return {
      "network": self.name,
      "non_embedding_parameters": self.non_embedding_parameters,
      "parameters": self.parameters,
      "runs": len(self.runs),
    }


def networks(runs: Sequence[Run]) -> list[Network]:
  """The networks of some runs: the main one, then the others by size.

  The main one has the most runs; of equal ones it is the smallest. A network
  of the sizes of a published T5 1.1 has its name ("T5-Small"), any other is
  called by its parameters without embeddings ("3M"), and, where two would be
  called alike, by what they differ in.
  """
  found = []
  for group in by_network(runs).values():
    sizes = group[0].compared_by.get(NETWORK)
    sizes = sizes if isinstance(sizes, dict) else {}
    whole, inner = count(sizes)
    found.append((sizes, Network(_name(sizes, inner), whole, inner, group)))
  named = _told_apart(found)
  main = min(named, key=lambda each: (-len(each.runs), _size(each)))
  others = sorted((n for n in named if n is not main), key=_size)
  return [main, *others]


def count(sizes: Mapping[str, Any]) -> tuple[int | None, int | None]:
  """Parameters of a network by its sizes: all, and without embeddings.

  (None, None) for sizes that are not of one of the networks that are trained.
  """
  import jax

  from data_efficient.models import decoder_only, encoder_decoder
  from data_efficient.models import networks as any_network

  make: Any = decoder_only.DecoderOnlyConfig
  if "num_encoder_layers" in sizes:
    make = encoder_decoder.T5Config
  try:
    network = make(**sizes)
  except (TypeError, ValueError):
    return None, None
  shapes = any_network.parameter_shapes(network)
  whole = inner = 0
  for path, shape in jax.tree_util.tree_leaves_with_path(shapes):
    size = math.prod(shape.shape)
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    whole += size
    inner += 0 if any(each in name for each in _EMBEDDINGS) else size
  return whole, inner


def _name(sizes: Mapping[str, Any], parameters: int | None) -> str:
  if parameters is None:
    return _UNKNOWN
  return _published(sizes) or names.parameters_text(parameters)


def _published(sizes: Mapping[str, Any]) -> str | None:
  from data_efficient.models import published

  for name in published.T5_1_1:
    known = published.t5_1_1(size=name, dtype="float32")
    fields = (*_FIELDS, "head_dim", "num_encoder_layers", "num_decoder_layers")
    if all(sizes.get(field) == getattr(known, field) for field in fields):
      spelt = name.upper() if name.startswith("x") else name.capitalize()
      return f"T5-{spelt}"
  return None


def _size(network: Network) -> float:
  inner = network.non_embedding_parameters
  return math.inf if inner is None else float(inner)


def _told_apart(found: Sequence[tuple[Mapping, Network]]) -> list[Network]:
  """Adds to names that several have what their networks differ in."""
  named = []
  for sizes, network in found:
    twins = [s for s, other in found if other.name == network.name]
    differing = [
      f"{field} {sizes.get(field)}"
      for field in sorted({field for each in twins for field in each})
      if len({json.dumps(each.get(field)) for each in twins}) > 1
    ]
    extra = f" ({', '.join(differing)})" if differing else ""
    named.append(network._replace(name=network.name + extra))
  return named
