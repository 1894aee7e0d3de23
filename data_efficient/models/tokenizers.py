# SPDX-License-Identifier: Apache-2.0
"""Text to token ids and back: what scorers need, and T5's model files."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import xxhash

# T5's number of sentinels (Raffel et al. 2020, arXiv 1910.10683).
SENTINELS = 100


class TokenizerError(ValueError):
  """A model file that is missing, broken or unfit for a T5."""


@runtime_checkable
class Tokenizer(Protocol):
  """The part of a tokenizer that scorers need.

  Attributes:
    eos_id: id of the end-of-sequence piece.
    begin_ids: ids that every text begins with; T5 has none.
    piece_of_zero: what id 0 spells, where that is an ordinary piece; None
      where it is padding or another mark.
    size: ids in use; all are below it.
    fingerprint: equal for tokenizers that tokenize alike.
  """

  eos_id: int
  begin_ids: tuple[int, ...]
  piece_of_zero: str | None
  size: int
  fingerprint: str

  def encode(self, text: str) -> list[int]:
    """Piece ids of a text, without any that mark its ends."""

  def answer_ids(self, word: str) -> list[int]:
    """Piece ids of a word that follows a text, or is a target of its own.

    Raises:
      TokenizerError: the vocabulary cannot spell it.
    """


@dataclasses.dataclass(frozen=True)
class SentencePiece:
  """A SentencePiece model file, read when first used.

  T5's conventions are required: id 0 is padding, and there is an
  end-of-sequence piece. Nothing is added to a text's ids.

  Attributes:
    path: the `.model` file.
  """

  path: str

  # Its first ids are marks: of padding, or of what cannot be spelt.
  piece_of_zero = None

  @functools.cached_property
  def _bytes(self) -> bytes:
    try:
      return pathlib.Path(self.path).read_bytes()
    except OSError as error:
      raise TokenizerError(
        f"{self.path}: cannot be read ({error.strerror}); expected a"
        " SentencePiece model file"
      ) from error

  @functools.cached_property
  def _processor(self) -> Any:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor()
    try:
      processor.LoadFromSerializedProto(self._bytes)
    except RuntimeError as error:
      raise TokenizerError(
        f"{self.path}: not a SentencePiece model file, or cut short"
      ) from error
    if processor.pad_id() != 0 or processor.eos_id() < 0:
      raise TokenizerError(
        f"{self.path}: padding has id {processor.pad_id()} and end of sequence"
        f" id {processor.eos_id()}; a T5 needs padding 0: train the model with"
        " pad_id=0, eos_id=1, unk_id=2, bos_id=-1"
      )
    return processor

  @functools.cached_property
  def fingerprint(self) -> str:
    """xxh3-128 of the file, hexadecimal: equal files tokenize equally."""
    return xxhash.xxh3_128_hexdigest(self._bytes)

  @property
  def vocab_size(self) -> int:
    """Pieces in the file, its sentinels included; ids are below it."""
    return self._processor.GetPieceSize()

  @functools.cached_property
  def appended_sentinels(self) -> int:
    """Sentinels that follow the file's pieces: 100, or 0 if it has its own."""
    return 0 if self._own_sentinel is not None else SENTINELS

  @property
  def size(self) -> int:
    """Ids in use: the file's pieces and the appended sentinels."""
    return self.vocab_size + self.appended_sentinels

  @property
  def first_sentinel(self) -> int:
    """Id of the first sentinel; the i-th is i less, as in T5 and seqio."""
    own = self._own_sentinel
    return self.size - 1 if own is None else own

  @functools.cached_property
  def _own_sentinel(self) -> int | None:
    for name in ("<extra_id_0>", "▁<extra_id_0>"):
      piece = self._processor.PieceToId(name)
      if piece != self.unk_id:
        return piece
    return None

  @property
  def pad_id(self) -> int:
    """Id of padding: 0."""
    return self._processor.pad_id()

  @property
  def eos_id(self) -> int:
    """Id of the end-of-sequence piece."""
    return self._processor.eos_id()

  @property
  def begin_ids(self) -> tuple[int, ...]:
    """What the file has for the beginning of a text: T5's has nothing."""
    begin = self._processor.bos_id()
    return () if begin < 0 else (begin,)

  @property
  def end_ids(self) -> tuple[int, ...]:
    """What T5 puts behind a text: end-of-sequence."""
    return (self.eos_id,)

  @property
  def unk_id(self) -> int:
    """Id that stands for what the vocabulary cannot spell."""
    return self._processor.unk_id()

  def encode(self, text: str) -> list[int]:
    """Ids of a text's pieces, without end-of-sequence."""
    return self._processor.EncodeAsIds(text)

  def decode(self, ids: Sequence[int]) -> str:
    """The text up to the first end-of-sequence, without padding.

    A network's vocabulary is often padded beyond the tokenizer's; such ids
    decode like the unknown piece.
    """
    ids = [int(i) for i in ids]
    if self.eos_id in ids:
      ids = ids[: ids.index(self.eos_id)]
    known = range(self.vocab_size)
    return self._processor.DecodeIds(
      [i if i in known else self.unk_id for i in ids if i != self.pad_id]
    )

  def answer_ids(self, word: str) -> list[int]:
    """The pieces of a target that says `word`, as the tokenizer splits it.

    A target starts a text, so the word carries the mark of a preceding space
    ("▁yes"); it may be one piece or several.

    Raises:
      TokenizerError: the vocabulary cannot spell the word.
    """
    ids = self.encode(word)
    if not ids or self.unk_id in ids:
      raise TokenizerError(
        f"{self.path}: the answer {word!r} has the pieces"
        f" {[self._processor.IdToPiece(i) for i in ids]}, expected known"
        " pieces: choose another answer, or train the vocabulary with"
        f" user_defined_symbols='▁{word}'"
      )
    return ids
