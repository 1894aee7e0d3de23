# SPDX-License-Identifier: Apache-2.0
"""Vocabularies: conventions, answers as one piece, equal bytes."""

import itertools
import random

import pytest
import sentencepiece

from data_efficient.data import artifacts, vocabularies

# No "yes" or "no" of their own, but words that begin like them.
WORDS = (
  "note none not north nobody nothing notice yesterday yeast year yell "
  "Noted Not Nothing Yellow Year NOTE NONE NOT YEAR YELL the a of and data"
).split()
OTHERS = [
  first + last
  for first in "mod tra sco sel kep tex pag wor lin qua num".split()
  for last in "el in re ect t est e d ing lity ber ers".split()
]


def _texts(seed=0, lines=300):
  generator = random.Random(seed)
  return [
    " ".join(generator.choice(WORDS + OTHERS) for _ in range(30))
    for _ in range(lines)
  ]


def _train(path, pieces=360, **options):
  vocabularies.train(_texts(), path, pieces=pieces, **options)
  return sentencepiece.SentencePieceProcessor(model_file=str(path))


def test_conventions(tmp_path):
  processor = _train(tmp_path / "m")
  assert processor.get_piece_size() == 360
  pieces = [processor.id_to_piece(i) for i in range(4)]
  assert pieces == ["<pad>", "</s>", "<unk>", "<0x00>"]
  assert processor.bos_id() == -1
  ids = processor.encode("the 漢字")
  assert processor.unk_id() not in ids  # bytes instead
  assert processor.decode(ids) == "the 漢字"


@pytest.mark.parametrize("word", vocabularies.ANSWERS)
def test_answers_are_one_piece(tmp_path, word):
  processor = _train(tmp_path / "m")
  for text in (word, f" {word}", f"the {word}", f"note {word}"):
    assert processor.encode(text, out_type=str)[-1] == "▁" + word


def _cuts(processor, word):
  ends = itertools.accumulate(map(len, processor.encode(word, out_type=str)))
  return set(ends)


def test_answers_add_no_cut_to_other_words(tmp_path, monkeypatch):
  after = _train(tmp_path / "x")
  monkeypatch.setattr(vocabularies, "_with_answers", lambda model: model)
  before = _train(tmp_path / "y")
  assert before.encode("yes", out_type=str) != ["▁yes"]
  compared = 0
  for word in WORDS + OTHERS:
    pieces = before.encode(word, out_type=str)
    if all(after.piece_to_id(piece) != after.unk_id() for piece in pieces):
      assert _cuts(after, word) <= _cuts(before, word)
      compared += word.lower().startswith(("no", "ye"))
  assert compared > 10
  for word in ("yesterday", "noise", "Yesenin", "notes"):
    assert after.decode(after.encode(word)) == word


def test_answers_of_unseen_letters(tmp_path):
  texts = [text.lower().replace("s", "z") for text in _texts()]
  vocabularies.train(texts, tmp_path / "m", pieces=330)
  path = str(tmp_path / "m")
  processor = sentencepiece.SentencePieceProcessor(model_file=path)
  assert processor.is_byte(processor.encode("S")[-1])
  for word in vocabularies.ANSWERS:
    assert processor.encode(word, out_type=str) == ["▁" + word]
  ids = range(processor.get_piece_size())
  assert min(processor.get_score(number) for number in ids) > -100
  with pytest.raises(vocabularies.VocabularyError, match="leave no place"):
    vocabularies.train(["ab ba aab"] * 50, tmp_path / "n", pieces=264)


@pytest.mark.parametrize("word", ["yes", "Yes", "No"])
def test_an_answer_scores_as_its_split_does(tmp_path, word):
  processor = _train(tmp_path / "m")
  whole, split = [
    sum(processor.get_score(number) for number in ids)
    for ids in processor.nbest_encode_as_ids(word, 2)
  ]
  assert whole == pytest.approx(split + 0.01, abs=1e-4)


def test_seqio_appends_the_sentinels(tmp_path):
  import seqio

  vocabularies.train(_texts(), tmp_path / "m", pieces=360)
  vocabulary = seqio.SentencePieceVocabulary(
    str(tmp_path / "m"), extra_ids=vocabularies.SENTINELS
  )
  assert vocabulary.vocab_size == 460
  assert vocabulary.encode("<extra_id_0>")[-1] == 459
  assert len(vocabulary.encode("yes")) == 1


def test_equal_texts_give_equal_bytes(tmp_path):
  texts = _texts()
  vocabularies.train(texts, tmp_path / "x", pieces=360)
  vocabularies.train(texts[::-1], tmp_path / "y", pieces=360)
  assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_sample_is_bounded():
  texts = _texts()
  sample = vocabularies._sample(texts, 5000, 0)
  assert 4000 < sum(map(len, sample)) <= 5000
  assert sample == vocabularies._sample(texts[::-1], 5000, 0)
  assert sample != vocabularies._sample(texts, 5000, 1)


def test_cached(tmp_path):
  path = vocabularies.cached({"id": 1}, iter(_texts()), tmp_path, pieces=360)
  before = path.read_bytes()

  def never():
    raise AssertionError("read again")
    yield ""

  again = vocabularies.cached({"id": 1}, never(), tmp_path, pieces=360)
  assert again == path and path.read_bytes() == before
  with pytest.raises(artifacts.ArtifactError, match="trained_on.id"):
    vocabularies.cached({"id": 2}, never(), tmp_path, pieces=360)
  path.write_bytes(before[:-1] + b"x")
  with pytest.raises(artifacts.ArtifactError, match="damaged"):
    vocabularies.cached({"id": 1}, never(), tmp_path, pieces=360)


def test_too_little_text(tmp_path):
  with pytest.raises(vocabularies.VocabularyError, match="4000 pieces"):
    vocabularies.train(_texts(), tmp_path / "m", pieces=4000)
  with pytest.raises(vocabularies.VocabularyError, match="no text"):
    vocabularies.train(["", " \n"], tmp_path / "m", pieces=300)
  assert not list(tmp_path.iterdir())
