# SPDX-License-Identifier: Apache-2.0
"""SelectIT's and LESS's arithmetic against what their authors published.

Their repositories are scripts for a GPU: the functions that are compared are
taken out of them by name, and run as they stand. Where a repository is not
there, the skipped test says how to fetch it.
"""

import argparse
import ast
import os
import pathlib
import types

import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.kernels import gradient_features, self_reflection

torch = pytest.importorskip("torch", reason="run `make parity`")

# Variable -> what is to be fetched to where it points.
_PUBLISHED = {
  "SELECTIT_PATH": "https://github.com/Blue-Raincoat/SelectIT",
  "LESS_PATH": "https://github.com/princeton-nlp/LESS",
}

# What SelectIT's code has for "1" to "5" of Llama 2.
_PIECES = [29896, 29906, 29941, 29946, 29945]


def _functions(variable: str, path: str, names, **known):
  """Functions of a published file, run in a module of their own."""
  if variable not in os.environ:
    pytest.skip(
      f"run `git clone {_PUBLISHED[variable]}` and set {variable} to the "
      "folder that it makes, then run `make parity`"
    )
  source = pathlib.Path(os.environ[variable], path).read_text()
  tree = ast.parse(source)
  kept = [
    node
    for node in tree.body
    if isinstance(node, ast.FunctionDef) and node.name in names
  ]
  assert {node.name for node in kept} == set(names)
  namespace = {"torch": torch, "np": np, **known}
  exec(compile(ast.Module(kept, []), path, "exec"), namespace)  # noqa: S102
  return types.SimpleNamespace(**{name: namespace[name] for name in names})


class _OnThisProcessor(dict):
  """A tokenizer's answer whose tensors need not move."""

  class _Ids:
    def cuda(self):
      return self

  input_ids = attention_mask = _Ids()


def _rated(rows: np.ndarray, *, prompts: int, alpha: float) -> list[float]:
  """Sentence-level scores by the published function.

  Args:
    rows: logits of the five ratings, one a record and prompt.
    prompts: for each record.
    alpha: of the formula.
  """
  asked = iter(rows)

  def model(**tokenized):
    logits = torch.full((1, 1, 32000), -50.0)
    logits[0, -1, _PIECES] = torch.tensor(next(asked), dtype=torch.float32)
    return (logits,)

  model.hf_device_map = {}
  loads = types.SimpleNamespace(from_pretrained=lambda *a, **k: model)

  class Tokenizer:
    pad_token, padding_side = "x", "left"

    def __call__(self, *arguments, **keywords):
      return _OnThisProcessor()

  published = _functions(
    "SELECTIT_PATH",
    "self_reflection/model_level.py",
    ["rating"],
    AutoModelForCausalLM=loads,
    AutoTokenizer=types.SimpleNamespace(
      from_pretrained=lambda *a, **k: Tokenizer()
    ),
    argparse=argparse,
  )
  return published.rating("", [""] * len(rows), prompts, alpha)


def test_sentence_level_ratings_are_the_published_ones():
  rng = np.random.default_rng(0)
  rows = rng.normal(size=(6 * 5, 5)) * 3
  theirs = _rated(rows, prompts=5, alpha=0.2)
  # Over the whole vocabulary, where all else is as good as impossible.
  log_p = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
  probabilities = self_reflection.over_scale(
    log_p.reshape(6, 5, 5), self_reflection.Normalisation.SOFTMAX_OF_SHARES
  )
  ours = self_reflection.sentence_level(
    self_reflection.token_level(probabilities), alpha=0.2
  )
  assert len(theirs) == 6
  np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_adam_s_direction_is_the_published_one():
  """Theirs has no bias correction, and its epsilon under the root.

  Neither moves a cosine of theirs but for epsilon; ours is theirs after so many
  steps that the correction is 1.
  """
  published = _functions(
    "LESS_PATH",
    "less/data_selection/collect_grad_reps.py",
    ["obtain_gradients_with_adam"],
  )
  rng = np.random.default_rng(1)
  weights = [
    torch.nn.Parameter(
      torch.tensor(rng.normal(size=shape), dtype=torch.float32)
    )
    for shape in ((4, 3), (3, 2))
  ]
  x, y = rng.normal(size=(1, 4)), rng.normal(size=(1, 2))

  class Model:
    def named_parameters(self):
      return [("a", weights[0]), ("b", weights[1])]

    def __call__(self, x, y):
      found = torch.tanh(x @ weights[0]) @ weights[1]
      return types.SimpleNamespace(loss=((found - y) ** 2).mean())

  size = 4 * 3 + 3 * 2
  first, second = rng.normal(size=size) / 10, rng.uniform(size=size) / 100
  batch = {
    "x": torch.tensor(x, dtype=torch.float32),
    "y": torch.tensor(y, dtype=torch.float32),
  }
  theirs = published.obtain_gradients_with_adam(
    Model(),
    batch,
    torch.tensor(first, dtype=torch.float32),
    torch.tensor(second, dtype=torch.float32),
  )
  gradient = np.concatenate([w.grad.numpy().ravel() for w in weights])
  ours = gradient_features.adam_directions(
    {"all": jnp.asarray(gradient)[None]},
    gradient_features.Moments(
      jnp.int32(10**9),
      {"all": jnp.asarray(first, "float32")},
      {"all": jnp.asarray(second, "float32")},
    ),
    rates=gradient_features.AdamRates(0.9, 0.999, 0.0, 1e-8),
  )
  np.testing.assert_allclose(ours["all"][0], theirs.detach(), rtol=1e-4)


def test_cosines_over_tasks_are_the_published_ones():
  """Theirs: unit features, their products, the mean of each task, the most."""
  published = _functions(
    "LESS_PATH",
    "less/data_selection/matching.py",
    ["calculate_influence_score"],
  )
  rng = np.random.default_rng(2)
  pool, targets = rng.normal(size=(7, 16)), rng.normal(size=(6, 16))
  normalize = torch.nn.functional.normalize
  scores = published.calculate_influence_score(
    normalize(torch.tensor(pool), dim=1),
    normalize(torch.tensor(targets), dim=1),
  )
  theirs = scores.reshape(7, 2, -1).mean(-1).max(-1)[0].numpy()
  unit = np.asarray(
    gradient_features.unit(jnp.asarray(targets, "float32")), np.float64
  )
  directions = unit.reshape(2, 3, 16).mean(axis=1)
  ours = gradient_features.cosines(
    jnp.asarray(pool, "float32"), jnp.asarray(directions, "float32")
  )
  np.testing.assert_allclose(np.asarray(ours).max(axis=1), theirs, atol=1e-6)
