# SPDX-License-Identifier: Apache-2.0
"""Small corpora, judges and runs to plan."""

import random

from data_efficient.data import prepared, split_policy
from data_efficient.evaluation import (
  plan_corpus,
  plan_scoring,
  plan_training,
)
from tests import networks
from tests.data import fakes
from tests.scorers import asked

# Wide enough that its products, and not Python, take the time.
WIDE = networks.t5(
  vocab_size=64, emb_dim=192, num_heads=4, mlp_dim=512, layers=1
)
TRAINING = plan_training.Training(
  network=WIDE, steps=16, batch=8, inputs=64, targets=16
)


def texts(count, longest=120, seed=0):
  """Documents of 10 letters to `longest`, short ones more often."""
  draw = random.Random(seed)
  return [
    "x" * int(10 + (longest - 10) * draw.random() ** 2) for _ in range(count)
  ]


def prepared_corpus(shards, directory, corpus=None) -> prepared.Prepared:
  policy = split_policy.Policy(
    evaluation_share=0.1,
    reference_share=0.1,
    pool_share_of_reference=1.0,
    hq_records=10,
    in_distribution_records=10,
    reference_records=10,
    reference_sources="*",
    hq_sources=(),
    usual_sources=(),
    seed=0,
  )
  return prepared.Prepared(
    corpus or fakes.Memory(shards), str(directory), policy
  )


def sampled(corpus, **changes) -> plan_corpus.Sampled:
  settings = {
    "tokenizer": asked.Letters(),
    "token_counts": None,
    "records": None,
    "sample": 160,
    "seed": 0,
  }
  return plan_corpus.Sampled(corpus=corpus, **settings | changes)


def scorer(network=WIDE, **settings):
  """Ask-LLM with a judge that has no values; windows of 128 tokens."""
  settings = {
    "length_step": 64,
    "batch_tokens": 1024,
    "part_records": 128,
  } | settings
  judge = plan_scoring.judge(network=network, kind="test")
  return asked.scorer(judge, asked.question(max_input_tokens=128), **settings)
