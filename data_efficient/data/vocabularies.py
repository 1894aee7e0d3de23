# SPDX-License-Identifier: Apache-2.0
"""SentencePiece vocabularies trained on a corpus, in T5's conventions.

Ids: 0 `<pad>`, 1 `</s>`, 2 `<unk>`, then bytes (for characters outside the
vocabulary) and pieces. The sentinels of span corruption are not in the file:
`seqio.SentencePieceVocabulary(path, extra_ids=100)` puts them behind its
pieces, so that the vocabulary has `pieces` + 100 ids in all.
"""

import heapq
import io
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import xxhash

from data_efficient import progress
from data_efficient.data import artifacts

KIND = "vocabulary"
FILE = "sentencepiece.model"
SENTINELS = 100
# A judge's answers: each must be one piece, or its score is a product.
ANSWERS = ("yes", "Yes", "YES", "no", "No", "NO")
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_LINE = 2000  # characters; SentencePiece drops lines of over 4,192 bytes
_MARGIN = 0.01  # in log-probability, by which an answer beats its own split
_NORMAL, _UNUSED = 1, 5  # of ModelProto.SentencePiece.Type


class VocabularyError(ValueError):
  """No vocabulary of the wanted size can be trained on the text."""


def cached(
  trained_on: dict[str, Any],
  texts: Iterable[str],
  directory: artifacts.PathLike,
  *,
  pieces: int = 8000,
  max_characters: int = 6_000_000,
  seed: int = 0,
) -> pathlib.Path:
  """Returns the model file of a corpus, trained only if it is not there.

  Args:
    trained_on: what the texts are: the identity of a split's selection, or
      `CorpusIndex.describe()`. Another one is refused.
    texts: the documents; read only for training.
    directory: where the vocabulary is kept.
    pieces: as `train`.
    max_characters: as `train`.
    seed: as `train`.

  Raises:
    VocabularyError: too little text for so many pieces.
    ArtifactError: a vocabulary of something else lies there.
  """
  settings = {
    "pieces": pieces,
    "max_characters": max_characters,
    "seed": seed,
    "answers": ANSWERS,
    "trained_on": trained_on,
  }
  with artifacts.Writer(directory, kind=KIND, identity=settings) as writer:
    if not writer.complete:
      if not writer.has(FILE):
        sample = _sample(texts, max_characters, seed)
        writer.write_bytes(FILE, _train(sample, pieces))
      writer.finish(sentinels=SENTINELS)
  artifacts.read_bytes(directory, FILE)  # verifies the checksum
  return pathlib.Path(directory) / FILE


def train(
  texts: Iterable[str],
  path: artifacts.PathLike,
  *,
  pieces: int = 8000,
  max_characters: int = 6_000_000,
  seed: int = 0,
) -> pathlib.Path:
  """Trains a unigram model and writes its file; equal texts, equal bytes.

  Args:
    texts: the documents, in any order.
    path: the file to write.
    pieces: ids of the model, without the sentinels.
    max_characters: where there is more text, the documents with the smallest
      hashes of (seed, text) are taken up to this sum.
    seed: of that hash.

  Returns:
    The path.

  Raises:
    VocabularyError: too little text for so many pieces.
  """
  model = _train(_sample(texts, max_characters, seed), pieces)
  artifacts.atomic_write(path, model)
  return pathlib.Path(path)


def _sample(texts: Iterable[str], limit: int, seed: int) -> list[str]:
  kept: list[tuple[int, str]] = []
  total = 0
  for text in texts:
    digest = xxhash.xxh3_64_intdigest(text.encode("utf-8"), seed=seed)
    heapq.heappush(kept, (-digest, text))
    total += len(text)
    while total > limit and len(kept) > 1:
      total -= len(heapq.heappop(kept)[1])
  return [text for _, text in sorted(kept, reverse=True)]


def _train(texts: Iterable[str], pieces: int) -> bytes:
  lines = [
    line[start : start + _LINE]
    for text in texts
    for line in text.splitlines()
    if line.strip()
    for start in range(0, len(line), _LINE)
  ]
  if not lines:
    raise VocabularyError("no text to train a vocabulary on")
  model = io.BytesIO()
  try:
    # One unit: the trainer tells nobody how far it is.
    label = f"train vocabulary on {len(lines):,} lines (shows no steps)"
    with progress.bar(label, total=1) as advance:
      _run(iter(lines), model, pieces)
      advance(1)
  except RuntimeError as error:
    raise VocabularyError(
      f"{len(lines)} lines of text do not give {pieces} pieces: bring more "
      f"text or lower the number of pieces (SentencePiece: {error})"
    ) from error
  return _with_answers(model.getvalue())


def _run(lines: Iterator[str], model: io.BytesIO, pieces: int) -> None:
  import sentencepiece

  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=lines,
    model_writer=model,
    model_type="unigram",
    vocab_size=pieces,
    pad_id=0,
    eos_id=1,
    unk_id=2,
    bos_id=-1,
    byte_fallback=True,
    seed_sentencepiece_size=200_000,  # faster than 10⁶, equal pieces
    num_threads=1,  # more would add up in another order
    minloglevel=2,
  )


def _with_answers(model: bytes) -> bytes:
  """Puts each answer in as a piece, in the place of the rarest ones.

  Not as `user_defined_symbols`: these match inside words too, and would cut
  "note" into "▁no" and "te" whatever that costs. A log-probability just above
  that of the answer's best split adds no cut to any word: where another word
  takes the piece, only its cuts inside that piece are gone.
  """
  from sentencepiece import sentencepiece_model_pb2

  proto = sentencepiece_model_pb2.ModelProto.FromString(model)
  answers = {_SPACE + word: word for word in ANSWERS}
  normal = [piece for piece in proto.pieces if piece.type == _NORMAL]
  missing = sorted(set(answers) - {piece.piece for piece in normal})
  rarest = [
    piece
    for piece in sorted(normal, key=lambda piece: piece.score)
    if len(piece.piece) > 1 and piece.piece not in answers
  ]
  if len(rarest) < len(missing):
    raise VocabularyError(
      f"{len(rarest)} pieces of two letters or more leave no place for the "
      f"answers {', '.join(missing)}: raise the number of pieces"
    )
  for piece, answer in zip(rarest, missing, strict=False):
    piece.piece, piece.type = answer, _UNUSED
  for piece in proto.pieces:
    if piece.piece in answers:
      split = _split_score(proto, answers[piece.piece])
      if piece.type == _UNUSED or split > piece.score:
        piece.score, piece.type = split + _MARGIN, _NORMAL
  return proto.SerializeToString(deterministic=True)


def _split_score(proto: Any, word: str) -> float:
  """Returns the log-probability of a word's pieces, as the model cuts it."""
  import sentencepiece

  processor = sentencepiece.SentencePieceProcessor()
  processor.LoadFromSerializedProto(proto.SerializeToString())
  ids = processor.EncodeAsIds(word)
  if any(processor.IsByte(number) for number in ids):
    # A letter that the text lacks: the model has no price for it.
    return min(piece.score for piece in proto.pieces)
  return sum(processor.GetScore(number) for number in ids)
