# SPDX-License-Identifier: Apache-2.0
"""Encoders against transformers and torch, in fp32; MiniLM by its weights."""

import gzip
import itertools
import json

import numpy as np
import pytest
import torch
import transformers

from data_efficient.models import encoder_files, tokenizer_files
from data_efficient.scorers import embedding, judges
from tests.parity import encoders

# The largest difference of a number of any vector.
LIMIT = 1e-4

BERTS = {
  "mean": {"pooling": "mean", "normalise": True},
  "cls": {"pooling": "cls", "normalise": True},
  "free": {"pooling": "cls", "normalise": False, "hidden_act": "gelu_new"},
  "relu": {"pooling": "mean", "normalise": False, "hidden_act": "relu"},
}
SIZES = {
  **{"vocab_size": 300, "hidden_size": 48, "num_hidden_layers": 3},
  **{"num_attention_heads": 4, "intermediate_size": 80},
  "max_position_embeddings": 64,
}
T5S = {
  "first": {"feed_forward_proj": "relu", "d_ff": 96},
  "gated": {"feed_forward_proj": "gated-gelu", "d_ff": 64},
}
T5_SIZES = {
  **{"vocab_size": 300, "d_model": 48, "num_heads": 3, "d_kv": 24},
  **{"num_layers": 3, "relative_attention_num_buckets": 16},
  "relative_attention_max_distance": 40,
}


def _encoder(directory) -> judges.Judge:
  network = encoder_files.read_config(directory, dtype="float32")
  return judges.load(network=network, checkpoint=str(directory), kind="peer")


@pytest.fixture(scope="module")
def sources():
  random = np.random.default_rng(1)
  tokens = random.integers(1, 300, (5, 64))
  lengths = np.array([64, 1, 40, 33, 2])
  return np.where(np.arange(64) < lengths[:, None], tokens, 0)


def _compare(directory, peer, tokens) -> None:
  judge = _encoder(directory)
  ours = embedding._embed(
    judge.parameters, tokens.astype(np.int32), network=judge.network
  )
  theirs = peer(tokens).numpy()
  furthest = np.abs(np.asarray(ours) - theirs).max()
  print(f"\n{furthest:.1e} of {np.abs(theirs).max():.1f}", end=" ")
  # Texts that could be told from one another.
  assert theirs.std(axis=0).mean() > 0.01
  assert furthest < LIMIT


@pytest.mark.parametrize("name", BERTS)
def test_bert(name, tmp_path, sources):
  peer = encoders.Bert(tmp_path, **BERTS[name], **SIZES)
  _compare(tmp_path, peer, sources)


@pytest.mark.parametrize("name", T5S)
def test_sentence_t5(name, tmp_path, sources):
  peer = encoders.SentenceT5(tmp_path, projected=32, **T5S[name], **T5_SIZES)
  _compare(tmp_path, peer, sources)


@pytest.fixture(scope="module")
def documents(shared):
  """Real texts: some within MiniLM's 256 tokens, some beyond."""
  texts = []
  for path in sorted((shared / "data/pretrain").glob("*.jsonl.gz")):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
      rows = [json.loads(line) for line in itertools.islice(lines, 3)]
    texts += [row["text"][: 200 * 6**n] for n, row in enumerate(rows)]
  return [*texts, "Blåbær — naïve façade, 東京タワー!", "x" * 300]


def test_published_weights_on_real_texts(documents):
  directory = encoders.minilm()
  scorer = embedding.Embedding(
    encoder=_encoder(directory),
    tokenizer=tokenizer_files.read(str(directory)),
    prompt="",
    max_input_tokens=256,
    length_step=64,
    batch_tokens=2048,
    vector_type="float32",
    part_records=64,
  )
  found = scorer.score([*documents, " "])
  assert found.statuses[-1] == "unscorable(empty)"
  model = transformers.BertModel.from_pretrained(
    directory, dtype=torch.float32
  ).eval()
  tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
  cut = 0
  for row, text in enumerate(documents):
    marked = tokenizer(
      text, truncation=True, max_length=256, return_tensors="pt"
    )
    cut += marked["input_ids"].shape[1] == 256
    with torch.inference_mode():
      states = model(**marked).last_hidden_state
    theirs = encoders.pooled(states, marked["attention_mask"], "mean", True)
    furthest = np.abs(found.columns["embedding"][row] - theirs[0].numpy()).max()
    assert furthest < LIMIT, (row, text[:40])
  assert 3 < cut < len(documents) - 5
