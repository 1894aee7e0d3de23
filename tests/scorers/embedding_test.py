# SPDX-License-Identifier: Apache-2.0
"""Embeddings against the encoder's own states."""

import numpy as np

from data_efficient.models import encoder_decoder
from data_efficient.scorers import embedding
from data_efficient.scorers import interface as scorers
from tests.scorers import asked


def test_embeddings_are_means_over_the_documents_own_tokens():
  judge = asked.judge()
  scorer = embedding.Embedding(
    judge=judge,
    tokenizer=asked.Letters(),
    max_input_tokens=8,
    length_step=8,
    batch_tokens=32,
    part_records=8,
  )
  scores = scorer.score(["abcdefghijklm", "abc", ""])
  vectors = scores.columns["embedding"]
  assert scores.statuses == ["scored", "scored", scorers.unscorable("empty")]
  module = encoder_decoder.Transformer(asked.CONFIG)
  for row, text in enumerate(["abcdefgh", "abc"]):
    tokens = np.array([asked.Letters().encode(text)], np.int32)
    states = module.apply(
      {"params": judge.parameters}, tokens, method=module.encode
    )
    np.testing.assert_allclose(vectors[row], states[0].mean(0), atol=1e-5)
