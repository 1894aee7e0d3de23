# SPDX-License-Identifier: Apache-2.0
"""Small instructions, and their utilities by whole rows, one at a time."""

import functools

import jax
import numpy as np

from data_efficient.models import decoder, encoder_decoder, networks
from data_efficient.scorers import judges, pairwise_utility, templates
from data_efficient.scorers.templates import Instruction
from tests.scorers import asked

TEMPLATE = templates.Template(
  example="E {prompt} {response}.",
  query="Q {prompt}:",
  alone="Z",
  query_alone="q {prompt}:",
  answer="{response}",
  ends=True,
)
# Tokens of the longest row.
WINDOW = 64


def _word(rng, longest):
  letters = rng.integers(0, 26, rng.integers(1, longest + 1))
  return "".join(chr(97 + letter) for letter in letters)


def instructions(count, seed=0) -> list[Instruction]:
  """Records of very different lengths."""
  rng = np.random.default_rng(seed)
  return [Instruction(_word(rng, 14), _word(rng, 12)) for _ in range(count)]


@functools.cache
def judge(network) -> judges.Judge:
  """A random one, made once."""
  rng = np.random.default_rng(0)

  def draw(leaf):
    values = rng.normal(size=leaf.shape)
    values = 1 + values / 4 if leaf.ndim == 1 else values / leaf.shape[0] ** 0.5
    return jax.numpy.asarray(values, "float32")

  parameters = jax.tree.map(draw, networks.parameter_shapes(network))
  return judges.Judge(network, parameters, {"kind": "test"})


def scorer(judge, **settings) -> pairwise_utility.PairwiseUtility:
  settings = {
    **{"tokenizer": asked.Letters(), "template": TEMPLATE},
    **{"distance": "euclidean", "max_tokens": WINDOW},
    **{"max_example_tokens": 20, "length_step": 32, "batch_tokens": 192},
    **{"examples_at_once": 2},
  } | settings
  return pairwise_utility.PairwiseUtility(judge=judge, **settings)


def utilities(scorer, targets, examples) -> np.ndarray:
  """U of all pairs of records."""
  rows = [scorer.target(one) for one in targets]
  columns = [scorer.example(one) for one in examples]
  return scorer.block(rows, columns, scorer.alone(rows))


def slowly(scorer, targets, examples) -> np.ndarray:
  """The same, each by one pass over its whole row, softmax in float64."""
  return np.array(
    [
      [
        _distance(scorer, target, None) - _distance(scorer, target, example)
        for example in examples
      ]
      for target in targets
    ]
  )


def _distance(scorer, target, example) -> float:
  encode, template = scorer.tokenizer.encode, scorer.template
  alone = scorer.judge.decoder_only
  begin = [*scorer.tokenizer.begin_ids] if alone else []
  if example is None:
    before = begin + encode(template.alone)
    query = template.query_alone.format(prompt=target.prompt)
  else:
    text = template.example.format(**example._asdict())
    before = (begin + encode(text))[: scorer.max_example_tokens]
    query = template.query.format(prompt=target.prompt)
  answer = encode(target.response) + [1] * template.ends
  found = log_probabilities(scorer.judge, before + encode(query), answer)
  if scorer.distance == "euclidean":
    return np.sqrt(np.mean((1 - np.exp(found)) ** 2))
  return -np.sum(found) if "sum" in scorer.distance else -np.mean(found)


def log_probabilities(judge, given, answer) -> np.ndarray:
  """Of each token of an answer, float64."""
  if isinstance(judge.network, encoder_decoder.T5Config):
    rows = {
      "encoder_input_tokens": [*given, 1],
      "decoder_input_tokens": [0, *answer[:-1]],
      "decoder_target_tokens": answer,
    }
    start, padding = 0, 0
  elif isinstance(judge.network, decoder.DecoderConfig):
    row = [*given, *answer]
    rows = {"decoder_input_tokens": row, "decoder_target_tokens": row}
    start, padding = len(given) - 1, -1
  else:
    row = [*given, *answer]
    rows = {"decoder_input_tokens": [0, *row], "decoder_target_tokens": row}
    start, padding = len(given), 0
  batch = {
    name: np.array([row + [padding] * (WINDOW + 1 - len(row))], np.int32)
    for name, row in rows.items()
  }
  logits = _logits(judge.parameters, batch, judge.network)[0]
  logits = np.asarray(logits, np.float64)[start : start + len(answer)]
  logits -= logits.max(axis=-1, keepdims=True)
  logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
  return logits[np.arange(len(answer)), answer]


@functools.partial(jax.jit, static_argnames="network")
def _logits(parameters, batch, network):
  return networks.logits(network, parameters, batch, dropout=None)
