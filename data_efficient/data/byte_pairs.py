# SPDX-License-Identifier: Apache-2.0
"""Byte-level BPE tokenizers trained on text, for decoders from scratch.

By the library `tokenizers`, as GPT-2's (Radford et al. 2019): any text has
pieces. Ids 0 and 1 are `<s>`, which every text begins with, and `</s>`.
"""

import itertools
import pathlib
from collections.abc import Iterable
from typing import Any

from data_efficient import processes, progress
from data_efficient.data import artifacts, instructions
from data_efficient.models import tokenizer_files

KIND = "byte_pairs"
FILE = "tokenizer.json"
BEGIN, END = "<s>", "</s>"
# Every byte has a piece.
LEAST_PIECES = 256 + 2


class BytePairsError(ValueError):
  """No tokenizer of the wanted size can be trained on the text."""


def cached(
  trained_on: dict[str, Any],
  texts: Iterable[str],
  directory: artifacts.PathLike,
  *,
  pieces: int,
) -> pathlib.Path:
  """Returns the tokenizer.json of some text, trained only if it is not there.

  Args:
    trained_on: what the texts are, JSON-able. Another one is refused.
    texts: the documents; read only for training.
    directory: where it is kept.
    pieces: ids, the marks included.

  Raises:
    BytePairsError: too little text for so many pieces.
    ArtifactError: a tokenizer of something else lies there.
  """
  settings = {"pieces": pieces, "trained_on": trained_on}
  with artifacts.Writer(directory, kind=KIND, identity=settings) as writer:
    if not writer.complete:
      if not writer.has(FILE):
        writer.write_bytes(FILE, train(texts, pieces=pieces))
      writer.finish(begin=BEGIN, end=END)
  artifacts.read_bytes(directory, FILE)  # verifies the checksum
  return pathlib.Path(directory) / FILE


def of_instructions(
  *, pool: instructions.Instructions, directory: str, pieces: int
) -> tokenizer_files.TokenizerJson:
  """A tokenizer trained on the prompts and responses of a pool, once.

  Args:
    pool: instructions.
    directory: DIRECTORY/tokenizer has the file.
    pieces: as `cached`.
  """
  texts = itertools.chain.from_iterable(pool.records)
  with processes.first_alone("tokenizer"):
    path = cached(
      pool.identity(),
      texts,
      pathlib.Path(directory, "tokenizer"),
      pieces=pieces,
    )
  return tokenizer_files.TokenizerJson(str(path))


def train(texts: Iterable[str], *, pieces: int) -> bytes:
  """The bytes of a tokenizer.json.

  Args:
    texts: the documents.
    pieces: ids, the marks included.

  Raises:
    BytePairsError: too little text for so many pieces, or too few for bytes.
  """
  import tokenizers
  from tokenizers import decoders, models, pre_tokenizers, processors, trainers

  if pieces < LEAST_PIECES:
    raise BytePairsError(
      f"{pieces} pieces: every byte is one, and there are two marks: expected"
      f" at least {LEAST_PIECES}"
    )
  made = tokenizers.Tokenizer(models.BPE())
  made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
  made.decoder = decoders.ByteLevel()
  trainer = trainers.BpeTrainer(
    vocab_size=pieces,
    special_tokens=[BEGIN, END],
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
  )
  # One unit: the trainer tells nobody how far it is.
  with progress.bar("train tokenizer (shows no steps)", total=1) as advance:
    made.train_from_iterator(texts, trainer)
    advance(1)
  if made.get_vocab_size() < pieces:
    raise BytePairsError(
      f"the text gives {made.get_vocab_size()} pieces, not {pieces}: bring more"
      " text, or lower the number of pieces"
    )
  made.post_processor = processors.TemplateProcessing(
    single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)]
  )
  return made.to_str().encode()
