# SPDX-License-Identifier: Apache-2.0
"""T5's own vocabulary, and one trained here that splits the answer."""

import io
import pathlib

import pytest
import sentencepiece
import tokenizers as tokenizers_library

from data_efficient.models import tokenizers

T5 = (
  pathlib.Path(__file__).resolve().parents[3]
  / "shared/tokenizers/t5_cc_all.32000.100extra.spm.model"
)
LINES = ["the judge says that the cat sat", "a dog and a cat say no no"] * 20


def _train(path, **options):
  model = io.BytesIO()
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(LINES),
    model_writer=model,
    vocab_size=40,
    hard_vocab_limit=False,
    minloglevel=2,
    **{"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1} | options,
  )
  path.write_bytes(model.getvalue())
  return tokenizers.SentencePiece(str(path))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  return _train(tmp_path_factory.mktemp("spm") / "spm.model")


@pytest.fixture(scope="module")
def t5():
  if not T5.exists():
    pytest.skip(f"T5's vocabulary is not at {T5}")
  return tokenizers.SentencePiece(str(T5))


def test_t5_vocabulary(t5):
  # This file has "<s>" as piece 2: its ids are one above those of the
  # published checkpoints, whose tokenizer is the file next to it.
  assert (t5.vocab_size, t5.pad_id, t5.eos_id) == (32101, 0, 1)
  assert t5.encode("Hello world") == [8775, 297]
  assert t5.answer_ids("yes") == [4274]
  assert t5.answer_ids("no") == [151]
  assert t5.decode([8775, 297, 1, 151]) == "Hello world"


def test_pieces_equal_an_independent_tokenizer(t5):
  other = tokenizers_library.Tokenizer.from_file(
    str(T5.with_name("t5-small.tokenizer.json"))
  )
  for text in ("Is this informative?", "naïve  café\n1,024 × 2", "yes", "no"):
    theirs = other.encode(text, add_special_tokens=False).ids
    assert [i - 1 for i in t5.encode(text)] == theirs


def test_ids_come_back_as_text(trained):
  ids = trained.encode(LINES[0])
  assert min(ids) > 2 and max(ids) < trained.vocab_size
  assert trained.decode([0, *ids, 1, 5, 6, 0]) == LINES[0]
  assert trained.decode([*ids, trained.vocab_size + 9]) == LINES[0] + " ⁇ "
  assert trained.encode("") == [] and trained.decode([]) == ""


def test_an_answer_of_several_pieces_begins_with_a_space(trained):
  pieces = trained.answer_ids("yes")
  assert len(pieces) > 1
  assert trained.decode(pieces) == "yes"
  # Spelled as in a running text, after a space.
  assert trained.encode("cat yes")[-len(pieces) :] == pieces


def test_a_forced_answer_is_one_piece(tmp_path):
  forced = _train(tmp_path / "spm.model", user_defined_symbols=["▁yes"])
  assert len(forced.answer_ids("yes")) == 1


def test_an_answer_outside_the_vocabulary_is_refused(trained):
  for word in ("да", ""):
    with pytest.raises(tokenizers.TokenizerError, match="expected known"):
      trained.answer_ids(word)


def test_fingerprint_is_of_the_file(trained, tmp_path):
  copy = tmp_path / "copy.model"
  data = pathlib.Path(trained.path).read_bytes()
  copy.write_bytes(data)
  assert tokenizers.SentencePiece(str(copy)).fingerprint == trained.fingerprint
  copy.write_bytes(data + b"\0")
  assert tokenizers.SentencePiece(str(copy)).fingerprint != trained.fingerprint
  assert len(trained.fingerprint) == 32


def test_refuses_what_is_not_a_t5_vocabulary(tmp_path):
  file = tmp_path / "spm.model"
  with pytest.raises(tokenizers.TokenizerError, match="spm.model: cannot be"):
    tokenizers.SentencePiece(str(file)).encode("a")
  for data in (b"", b"text"):
    file.write_bytes(data)
    with pytest.raises(tokenizers.TokenizerError, match="not a SentencePiece"):
      tokenizers.SentencePiece(str(file)).encode("a")
  padless = _train(file, pad_id=-1)
  with pytest.raises(tokenizers.TokenizerError, match="padding has id -1"):
    padless.encode("a")
