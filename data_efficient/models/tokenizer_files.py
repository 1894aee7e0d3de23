# SPDX-License-Identifier: Apache-2.0
"""Tokenizers by their files: SentencePiece's `.model`, or `tokenizer.json`.

Scoring takes either; training reads its text through seqio, which knows
SentencePiece alone.
"""

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import xxhash

from data_efficient.models.tokenizers import SentencePiece, TokenizerError

# What a checkpoint's tokenizer is called. SentencePiece's own reader first: it
# takes a fifth of the time.
_NAMES = ("spiece.model", "tokenizer.json")

# How the end of a text is called: T5 and Llama, GPT-NeoX and Qwen, Gemma,
# Llama 3, BERT. The first that a file has.
_ENDS = ("</s>", "<|endoftext|>", "<eos>", "<|end_of_text|>", "[SEP]")


def read(path: str) -> "SentencePiece | TokenizerJson":
  """The tokenizer of a file; the file is read when it is first used.

  Args:
    path: `….json` or a file that begins like JSON is read by the library
      `tokenizers`, any other as a SentencePiece model. Of a directory, such
      as a checkpoint's, spiece.model, or tokenizer.json where that is missing.

  Raises:
    TokenizerError: a directory with neither.
  """
  path = _in_directory(pathlib.Path(path)) if os.path.isdir(path) else path
  if path.endswith(".json") or _begins_like_json(path):
    return TokenizerJson(path)
  return SentencePiece(path)


def _in_directory(directory: pathlib.Path) -> str:
  for name in _NAMES:
    if (directory / name).is_file():
      return str(directory / name)
  raise TokenizerError(
    f"{directory}: no tokenizer there; expected one of {list(_NAMES)}"
  )


def _begins_like_json(path: str) -> bool:
  try:
    with open(path, "rb") as file:
      return file.read(64).lstrip()[:1] == b"{"
  except OSError:
    return False


@dataclasses.dataclass(frozen=True)
class TokenizerJson:
  """A Hugging Face `tokenizer.json`, read when first used; a `Tokenizer`.

  What the file says of padding and truncation is not applied, and nothing
  marks a text's ends. Its special tokens are never read out of a text: a
  document that spells "</s>" or "<pad>" is so many ordinary pieces, as in
  SentencePiece.

  Attributes:
    path: the `tokenizer.json`.
  """

  path: str

  @functools.cached_property
  def _bytes(self) -> bytes:
    try:
      return pathlib.Path(self.path).read_bytes()
    except OSError as error:
      raise TokenizerError(
        f"{self.path}: cannot be read ({error.strerror}); expected a"
        " tokenizer.json"
      ) from error

  @functools.cached_property
  def _description(self) -> dict[str, Any]:
    try:
      description = json.loads(self._bytes)
    except ValueError as error:
      raise TokenizerError(
        f"{self.path}: is not JSON, or cut short ({error})"
      ) from error
    if not isinstance(description, dict) or not (
      {"added_tokens", "model"} <= set(description)
    ):
      raise TokenizerError(
        f"{self.path}: not a tokenizer.json; expected its model and its"
        " added_tokens (tokenizer_config.json is another file)"
      )
    return description

  @functools.cached_property
  def _whole(self) -> Any:
    """The tokenizer just as the file says."""
    return self._parsed(self._description)

  @functools.cached_property
  def _plain(self) -> Any:
    """The tokenizer of a text's own pieces."""
    kept = [
      token
      for token in self._description["added_tokens"]
      if not token["special"] and token["id"] != 0
    ]
    return self._parsed(
      self._description
      | {"added_tokens": kept, "model": self._spellable()}
      | dict.fromkeys(("padding", "truncation", "post_processor"))
    )

  def _spellable(self) -> dict[str, Any]:
    """The model without special tokens among what it looks up.

    A unigram model takes any of its pieces that it finds in a text; none has
    a space in it, since spaces are "▁" by then.
    """
    model = self._description["model"]
    if model.get("type") != "Unigram":
      return model
    vocabulary = list(model["vocab"])
    for token in self._description["added_tokens"]:
      if token["special"] and token["id"] < len(vocabulary):
        piece, score = vocabulary[token["id"]]
        vocabulary[token["id"]] = [f" {piece}", score]
    return model | {"vocab": vocabulary}

  def _parsed(self, description: dict[str, Any]) -> Any:
    import tokenizers

    try:
      return tokenizers.Tokenizer.from_str(json.dumps(description))
    except Exception as error:  # The library raises nothing more special.
      raise TokenizerError(
        f"{self.path}: not a tokenizer that the library `tokenizers` knows"
        f" ({error})"
      ) from error

  @functools.cached_property
  def piece_of_zero(self) -> str | None:
    """What id 0 spells, where that is an ordinary piece of text."""
    if not all(token["id"] for token in self._description["added_tokens"]):
      return None
    return self._whole.id_to_token(0)

  @functools.cached_property
  def fingerprint(self) -> str:
    """xxh3-128 of the file, hexadecimal: equal files tokenize equally."""
    return xxhash.xxh3_128_hexdigest(self._bytes)

  @functools.cached_property
  def size(self) -> int:
    """Ids in use, special tokens included; all are below it."""
    return max(self._whole.get_vocab().values()) + 1

  @functools.cached_property
  def _special(self) -> dict[str, int]:
    return {
      token["content"]: token["id"]
      for token in self._description["added_tokens"]
      if token["special"]
    }

  @functools.cached_property
  def eos_id(self) -> int:
    """Id of the token that ends a text.

    Raises:
      TokenizerError: the file has none under a usual name.
    """
    for name in _ENDS:
      if name in self._special:
        return self._special[name]
    raise TokenizerError(
      f"{self.path}: no end-of-sequence token; expected one of {list(_ENDS)}"
      f" among the special tokens {sorted(self._special)}"
    )

  @functools.cached_property
  def first_sentinel(self) -> int:
    """Id of T5's first sentinel; the i-th is i less.

    Raises:
      AttributeError: the file has none, so this tokenizer has no such
        attribute.
    """
    if "<extra_id_0>" not in self._special:
      raise AttributeError(f"{self.path}: has no sentinels (<extra_id_0>)")
    return self._special["<extra_id_0>"]

  @functools.cached_property
  def begin_ids(self) -> tuple[int, ...]:
    """What the file's own template puts in front of a text."""
    return self._frame[0]

  @functools.cached_property
  def end_ids(self) -> tuple[int, ...]:
    """What the file's own template puts behind a text."""
    return self._frame[1]

  @functools.cached_property
  def _frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
    whole = self._parsed(
      self._description | dict.fromkeys(("padding", "truncation"))
    )
    ids = whole.encode("x", add_special_tokens=True).ids
    text = whole.encode("x", add_special_tokens=False).ids
    starts = range(len(ids) - len(text) + 1)
    start = next(i for i in starts if ids[i : i + len(text)] == text)
    return tuple(ids[:start]), tuple(ids[start + len(text) :])

  def encode(self, text: str) -> list[int]:
    """Ids of a text's pieces, without any that mark its ends."""
    return self._plain.encode(text, add_special_tokens=False).ids

  def encode_marked(self, text: str) -> list[int]:
    """Ids of a text that may spell special tokens: never of a document."""
    return self._whole.encode(text, add_special_tokens=False).ids

  def decode(self, ids: Sequence[int]) -> str:
    """The text up to the first end-of-sequence, without special tokens.

    A network's vocabulary is often padded beyond the tokenizer's; such ids are
    left out.
    """
    ids = [int(i) for i in ids]
    if self.eos_id in ids:
      ids = ids[: ids.index(self.eos_id)]
    known = [i for i in ids if 0 <= i < self.size]
    return self._whole.decode(known, skip_special_tokens=True)

  def answer_ids(self, word: str) -> list[int]:
    """The pieces of a word that follows a text, as the tokenizer splits it.

    Raises:
      TokenizerError: the vocabulary cannot spell the word.
    """
    before, both = self.encode("x"), self.encode(f"x {word}")
    ids = both[len(before) :]
    if not word or both[: len(before)] != before or self._unknown in ids:
      raise TokenizerError(
        f"{self.path}: the answer {word!r} has the pieces"
        f" {[self._whole.id_to_token(i) for i in ids]}, expected known pieces:"
        " choose another answer, or another tokenizer"
      )
    return ids

  @functools.cached_property
  def _unknown(self) -> int | None:
    """Id of what the vocabulary cannot spell, if that can happen."""
    model = self._description["model"]
    if model.get("unk_id") is not None:
      return model["unk_id"]
    return self._whole.token_to_id(model.get("unk_token") or "")
