# SPDX-License-Identifier: Apache-2.0
"""A network that is asked tasks, and keeps what it answered.

Answers are kept under the checkpoint's content and the questions': another
checkpoint at the same path, or other questions, are asked anew.
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import xxhash

from data_efficient import processes
from data_efficient.models import (
  checkpoints,
  decoder,
  networks,
  tokenizers,
)

_BLOCK = 1 << 24  # bytes that are hashed at a time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
  """What answers.

  Attributes:
    directory: where answers are kept.
    network: of all checkpoints.
    vocabulary: of the network.
    engine: what scores and predicts; see `training.inference.Engine`.
    lengths: {"inputs": tokens of a prompt, "targets": tokens of an answer, and
      of what is decoded}.
    batch_size: examples at a time.
  """

  directory: pathlib.Path
  network: networks.Network
  vocabulary: tokenizers.Tokenizer
  engine: Any
  lengths: Mapping[str, int]
  batch_size: int

  @property
  def begin_ids(self) -> tuple[int, ...]:
    """What stands before a prompt: in a decoder's row, whatever begins one."""
    return self.vocabulary.begin_ids if self._one_row else ()

  @property
  def window(self) -> int:
    """Tokens that a prompt may have: a decoder's answer shares its row."""
    own = self.lengths["targets"] if self._one_row else 0
    return self.lengths["inputs"] - own - len(self.begin_ids)

  @property
  def _one_row(self) -> bool:
    return isinstance(self.network, decoder.DecoderConfig)

  def scores(
    self, asked: str, task: str, checkpoint: str, columns: tuple[str, ...]
  ) -> list[dict[str, Any]]:
    """Rows of `training.inference` with the score of each example.

    Args:
      asked: name under which they are kept; of other questions another one.
      task: name of the registered seqio task.
      checkpoint: in any format of `checkpoints.load_parameters`.
      columns: features of an example that are kept beside its score.
    """
    return self._rows(asked, task, checkpoint, columns, "score")

  def predictions(
    self, asked: str, task: str, checkpoint: str, columns: tuple[str, ...]
  ) -> list[dict[str, Any]]:
    """The same with what is decoded greedily, as text and as tokens."""
    return self._rows(asked, task, checkpoint, columns, "predict")

  def cut(self, row: Mapping[str, Any]) -> bool:
    """Whether a prediction has as many tokens as there is room for, no end."""
    tokens = row["prediction_tokens"]
    full = len(tokens) >= self.lengths["targets"]
    return full and tokens[-1] != self.vocabulary.eos_id

  def _rows(
    self,
    asked: str,
    task: str,
    checkpoint: str,
    columns: tuple[str, ...],
    mode: str,
  ) -> list[dict[str, Any]]:
    from data_efficient.training import inference

    kept = f"{asked}_{identity(checkpoint)}"
    wanted = inference.Inference(
      directory=str(self.directory / _file_name(kept)),
      network=self.network,
      checkpoint=checkpoint,
      task=task,
      task_feature_lengths=self.lengths,
      batch_size=self.batch_size,
      mode=inference.Mode(mode),
      columns=columns,
    )
    if not pathlib.Path(wanted.directory, inference.FILE).exists():
      self.engine.infer(wanted)
    processes.wait(f"{kept} asked")
    return inference.read(wanted.directory)


def _file_name(kept: str) -> str:
  """Readable, and another one for every other `kept`."""
  readable = re.sub(r"[^\w.-]+", "_", kept)
  return f"{readable}_{xxhash.xxh3_64_hexdigest(kept.encode())[:8]}"


def identity(checkpoint: str) -> str:
  """xxh3_64, in hex, of the names and bytes of a checkpoint's files.

  Raises:
    CheckpointError: no such directory.
  """
  root = checkpoints.latest(checkpoint)
  digest = xxhash.xxh3_64()
  for path in sorted(path for path in root.rglob("*") if path.is_file()):
    digest.update(str(path.relative_to(root)).encode())
    with open(path, "rb") as file:
      while block := file.read(_BLOCK):
        digest.update(block)
  return digest.hexdigest()
