# SPDX-License-Identifier: Apache-2.0
"""A small judge, a vocabulary of letters, and slow answers to compare with."""

import functools

import jax
import numpy as np

from data_efficient.models import decoder, decoder_only
from data_efficient.models import networks as models
from data_efficient.models.tokenizers import TokenizerError
from data_efficient.scorers import (
  ask_llm,
  defences,
  judges,
  prompts,
  questions,
)
from tests import networks

CONFIG = networks.t5(vocab_size=64)
LANGUAGE_MODEL = decoder_only.DecoderOnlyConfig(
  vocab_size=64,
  emb_dim=16,
  num_heads=2,
  head_dim=8,
  mlp_dim=32,
  num_decoder_layers=2,
  dtype="float32",
  dropout_rate=0.0,
  embedding_init_stddev=1.0,
)
LLAMA = networks.llama(vocab_size=64)
PROMPT = prompts.Prompt(
  before="<<", after=">> Q?", positive="yes", negative="no"
)
CONTINUED = prompts.Prompt(
  before="<<", after=">> A:", positive="yes", negative="no", continued=True
)
TEXTS = ["a short one", "", "another text, rather longer than the first", "x"]
# "YES" cannot be spelt; "no" and "No" begin alike, and "NO" goes on from "no".
ANSWERS = {"yes": [60], "no": [61, 62], "Yes": [58], "No": [61, 59]}
ANSWERS["NO"] = [61, 62, 57]


class Letters:
  """One id a character that is no space; "yes" has one piece, "no" two."""

  eos_id = 1
  begin_ids = ()
  piece_of_zero = None
  size = 64
  fingerprint = "letters"

  def encode(self, text):
    return [3 + ord(letter) % 50 for letter in text if not letter.isspace()]

  def answer_ids(self, word):
    if word not in ANSWERS:
      raise TokenizerError(f"cannot spell {word!r}")
    return ANSWERS[word]


def judge(network=CONFIG) -> judges.Judge:
  parameters = models.init_parameters(network, jax.random.key(0))
  return judges.Judge(network, parameters, {"kind": "test"})


def question(
  max_input_tokens=24, prompt=PROMPT, steps=(), tokenizer=None
) -> questions.Question:
  return questions.Question(
    prompt=prompt,
    tokenizer=tokenizer or Letters(),
    max_input_tokens=max_input_tokens,
    defence=defences.Defence(steps=steps),
  )


def scorer(judge, question=None, **settings) -> ask_llm.AskLlm:
  settings = {
    "windows": "head",
    "max_windows": 8,
    "readout": "yes",
    "length_step": 8,
    "batch_tokens": 96,
    "part_records": 8,
  } | settings
  return ask_llm.AskLlm(
    judge=judge, question=question or globals()["question"](), **settings
  )


def slowly(judge, inputs, answer) -> float:
  """Each piece by a forward pass of its own, softmax in float64."""
  total = 0.0
  for length in range(len(answer)):
    last = _last_logits(judge, list(inputs), list(answer[:length]))
    total += last[answer[length]] - np.log(np.exp(last).sum())
  return total


def _last_logits(judge, inputs, known) -> np.ndarray:
  """Without padding: one text, its prompt and the answer's first pieces."""
  if isinstance(judge.network, decoder_only.DecoderOnlyConfig):
    tokens = np.array([[0, *inputs, *known]], np.int32)
    batch = {"decoder_input_tokens": tokens}
  elif isinstance(judge.network, decoder.DecoderConfig):
    tokens = np.array([[*inputs, *known]], np.int32)
    batch = {"decoder_input_tokens": tokens}
  else:
    batch = {
      "encoder_input_tokens": np.array([inputs], np.int32),
      "decoder_input_tokens": np.array([[0, *known]], np.int32),
    }
  batch["decoder_target_tokens"] = np.ones_like(batch["decoder_input_tokens"])
  return np.asarray(_logits(judge.parameters, batch, judge.network), np.float64)


# Compiled whole: operation by operation takes ten times as long.
@functools.partial(jax.jit, static_argnames="network")
def _logits(parameters, batch, network):
  return models.logits(network, parameters, batch, dropout=None)[0, -1]
