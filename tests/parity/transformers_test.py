# SPDX-License-Identifier: Apache-2.0
"""Our reader, networks and scorers against transformers and torch, in fp32."""

import functools
import gzip
import itertools
import json

import jax
import numpy as np
import pytest
import torch
import transformers

from data_efficient.models import (
  checkpoints,
  huggingface,
  networks,
  tokenizer_files,
)
from data_efficient.scorers import (
  answers,
  ask_llm,
  defences,
  judges,
  objectives,
  perplexity,
  prompts,
  questions,
  teacher_forcing,
)
from tests.parity import peers

# The largest difference of any log-probability, nats.
LIMIT = 1e-4
WINDOW = 384

SIZES = {
  # T5's own proportions, and its vocabulary.
  "square": {
    **{"vocab_size": 32128, "d_model": 32, "num_heads": 4, "d_kv": 8},
    **{"d_ff": 64, "num_layers": 2, "num_decoder_layers": 2},
  },
  # Heads wider than the residual stream; one decoder layer; near buckets.
  "wide": {
    **{"vocab_size": 200, "d_model": 48, "num_heads": 3, "d_kv": 24},
    **{"d_ff": 40, "num_layers": 3, "num_decoder_layers": 1},
    **{"relative_attention_num_buckets": 16},
    **{"relative_attention_max_distance": 40},
  },
  "deep": {
    **{"vocab_size": 128, "d_model": 64, "num_heads": 2, "d_kv": 16},
    **{"d_ff": 96, "num_layers": 1, "num_decoder_layers": 4},
  },
}
FILES = {
  "square": {},
  "wide": {"max_shard_size": "60KB"},
  # What transformers 5 itself writes of a T5 1.1 that it has tuned.
  "deep": {"config_of": 5},
  "half": {"dtype": torch.bfloat16},
}
ANSWERS = ((60,), (61, 62), (61, 59, 7), (58,))


@pytest.fixture(scope="module", params=FILES)
def peer(request, tmp_path_factory):
  return peers.make(
    tmp_path_factory.mktemp(request.param) / "model",
    sizes=SIZES.get(request.param, SIZES["wide"]),
    **FILES[request.param],
  )


@pytest.fixture(scope="module")
def judge(peer):
  return _judge(peer)


def _judge(peer):
  network = huggingface.read_config(peer.directory, dtype="float32")
  return judges.load(
    network=network,
    checkpoint=str(peer.directory),
    kind="random",
    model_parallel=1,
  )


@pytest.fixture(scope="module")
def sources():
  """Five texts of several lengths, padded, some beyond all near buckets."""
  random = np.random.default_rng(1)
  tokens = random.integers(2, 128, (5, 160))
  for row, length in zip(tokens, (160, 131, 17, 2, 64), strict=True):
    row[length - 1] = 1
    row[length:] = 0
  return tokens


def _log_softmax(logits):
  logits = np.asarray(logits, np.float64)
  logits -= logits.max(-1, keepdims=True)
  return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_files_are_of_the_kind_that_is_meant(peer):
  shards = len(list(peer.directory.glob("*.safetensors")))
  wide = peer.model.config.num_layers == 3
  assert (shards > 3) == (wide and "half" not in str(peer.directory))


def test_every_next_token(peer, judge, sources):
  random = np.random.default_rng(2)
  targets = random.integers(1, 128, (5, 50))
  lengths = np.array([50, 3, 50, 20, 1])
  counted = np.arange(50) < lengths[:, None]
  targets = np.where(counted, targets, 0)
  shifted = np.pad(targets, ((0, 0), (1, 0)))[:, :-1]
  features = {
    "encoder_input_tokens": sources,
    "decoder_input_tokens": shifted,
    "decoder_target_tokens": targets,
  }
  forward = jax.jit(
    functools.partial(networks.logits, judge.network, dropout=None)
  )
  ours = _log_softmax(forward(judge.parameters, features))
  theirs = peer.padded(sources, shifted)
  # A distribution that could be told from another one.
  assert theirs[counted].std() > 1
  difference = np.abs(ours - theirs)[counted].max()
  print(f"\nnext tokens: {difference:.1e} nats")
  assert difference < LIMIT


def test_a_target_sequence(peer, judge, sources):
  random = np.random.default_rng(3)
  lengths = (30, 1, 12, 30, 4)
  targets = np.zeros((5, 32), int)
  for row, length in zip(targets, lengths, strict=True):
    row[:length] = random.integers(1, 128, length)
  found = teacher_forcing.log_likelihoods(
    judge.parameters,
    {
      "encoder_input_tokens": sources,
      "decoder_target_tokens": targets,
      "counted": targets > 0,
    },
    network=judge.network,
  )
  for ours, source, target, length in zip(
    np.asarray(found), sources, targets, lengths, strict=True
  ):
    theirs = peer.answer(source[source > 0], list(target[:length]))
    assert abs(ours - theirs) < LIMIT * length


def test_answers_on_a_padded_batch(peer, judge, sources):
  found = answers.log_probabilities(
    judge.parameters,
    sources.astype(np.int32),
    network=judge.network,
    answers=ANSWERS,
  )
  theirs = [
    [peer.answer(source[source > 0], list(pieces)) for pieces in ANSWERS]
    for source in sources
  ]
  np.testing.assert_allclose(found, theirs, rtol=0, atol=LIMIT)


@pytest.fixture(scope="module")
def documents(shared):
  """Real texts: some blank, some within the window, some beyond it."""
  texts = ["", " \n"]
  for path in sorted((shared / "data/pretrain").glob("*.jsonl.gz")):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
      rows = [json.loads(line) for line in itertools.islice(lines, 4)]
    texts += [row["text"][: 300 * 2**n] for n, row in enumerate(rows)]
  # Which theirs takes for what it names.
  texts = [text.replace("<unk>", "unknown") for text in texts]
  assert not any(name in t for t in texts for name in ("</s>", "<pad>"))
  return texts


@pytest.fixture(scope="module")
def published(tmp_path_factory):
  """A network with T5's vocabulary."""
  return peers.make(
    tmp_path_factory.mktemp("published") / "model", sizes=SIZES["square"]
  )


def test_ask_llm_of_real_texts(published, documents, shared):
  path = shared / "tokenizers/t5-small.tokenizer.json"
  prompt = prompts.ask_llm()
  question = questions.Question(
    prompt=prompt,
    tokenizer=tokenizer_files.read(str(path)),
    max_input_tokens=WINDOW,
    defence=defences.Defence(steps=()),
  )
  scorer = ask_llm.AskLlm(
    judge=_judge(published),
    question=question,
    **{"windows": "head", "max_windows": 1, "readout": "yes"},
    **{"length_step": 64, "batch_tokens": 2048, "part_records": 64},
  )
  scores = scorer.score(documents)
  theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
  cut = 0
  for number, text in enumerate(documents):
    if not text.strip():
      assert scores.statuses[number] == "unscorable(empty)"
      continue
    ids = theirs(prompt.before + text + prompt.after)["input_ids"]
    assert ids[-1] == 1
    if len(ids) > WINDOW:
      # The document's end goes, and the question stays.
      ids, rest = ids[:-1], len(theirs(prompt.after)["input_ids"])
      ids = [*ids[: WINDOW - rest], *theirs(prompt.after)["input_ids"]]
      cut += 1
    next_token = published.log_probabilities(ids)[0]
    for word in ("yes", "no", "Yes", "No"):
      (piece,) = theirs(word, add_special_tokens=False)["input_ids"]
      found = scores.columns[f"log_p_{word}"][number]
      assert abs(found - next_token[piece]) < LIMIT, (number, word)
  spread = scores.columns["score"][2:]
  assert 3 < cut < len(documents) - 5 and spread.std() > 0.1


def test_perplexity_of_real_texts(published, documents, shared):
  path = shared / "tokenizers/t5-small.tokenizer.json"
  tokenizer = tokenizer_files.read(str(path))
  texts = documents[4::4]
  scorer = perplexity.Perplexity(
    judge=_judge(published),
    tokenizer=tokenizer,
    objective=objectives.PrefixLm(prefix_share=0.5),
    **{"windows": "head", "max_windows": 1, "max_input_tokens": 64},
    **{"length_step": 32, "batch_tokens": 512, "part_records": 64},
  )
  scores = scorer.score(texts)
  for number, text in enumerate(texts):
    pieces = tokenizer.encode(text)
    read = pieces[: scores.columns["document_tokens"][number]]
    half = round(len(read) / 2)
    target = [*read[half:], 1]
    expected = published.answer([*read[:half], 1], target) / len(target)
    assert len(target) == scores.columns["target_tokens"][number]
    assert abs(scores.columns["score"][number] - expected) < LIMIT
  assert len(texts) > 5 and min(scores.columns["document_tokens"]) > 20


def test_a_judge_knows_what_it_was_read_from(published):
  network = huggingface.read_config(published.directory, dtype="float32")
  read = checkpoints.load_parameters(published.directory, config=network)
  count = sum(p.numel() for p in published.model.parameters())
  assert networks.parameter_count(network) == count
  assert judges.fingerprint(read) == _judge(published).name["parameters"]
