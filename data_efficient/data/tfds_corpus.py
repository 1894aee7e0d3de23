# SPDX-License-Identifier: Apache-2.0
"""A corpus in TensorFlow Datasets (TFRecord files).

A record's id is the `tfds_id` that TFDS gives in training when it reads with
`ReadConfig(add_tfds_id=True)`: "{file}__{row}". TensorFlow is imported when
the corpus is first used.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from data_efficient.data import records
from data_efficient.data.corpora import CorpusError
from data_efficient.data.records import Record


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tfds:
  """One split of a prepared text dataset; one shard a file.

  Only whole splits are scored: "train", not "train[:10%]" or "train+test". A
  run may train on a part all the same, as TFDS counts rows from the start of
  each file, so that a part has the ids of the whole.

  Attributes:
    name: dataset, as `tfds.load` takes it: "c4/en:3.1.0".
    split: name of a split.
    data_dir: where the dataset was prepared; "" is TFDS's default folder.
    text_feature: feature with the document.
    group_feature: feature with what splits must not tear apart; "" makes each
      record its own group.
  """

  name: str
  split: str
  data_dir: str = ""
  text_feature: str = "text"
  group_feature: str = ""

  def shards(self) -> list[str]:
    """Returns the split's file names in order.

    Raises:
      CorpusError: no such dataset, split or feature, or no TFRecord files.
    """
    return list(self._files)

  def read(self, shard: str, start: int = 0) -> Iterator[Record]:
    """Yields a file's records from row `start` on.

    Raises:
      CorpusError: no such file, or a damaged one; names file and row.
    """
    if shard not in self._files:
      raise CorpusError(f"{self.name}: no file {shard!r} in {self.split!r}")
    path, expected = self._files[shard]
    rows = start
    for example in self._examples(path, start):
      where = f"{path}, row {rows}"
      yield Record(
        position=rows,
        text=_decoded(example[self.text_feature], where),
        source=self.name,
        group=self._group(example, where),
        id=records.record_id(shard, rows),
      )
      rows += 1
    if rows != max(expected, start):
      raise CorpusError(
        f"{path}: {rows} rows, where the dataset's description has {expected}: "
        "prepare the dataset again"
      )

  def identity(self) -> dict[str, Any]:
    """Returns version, split, and each file's name, bytes and rows.

    The bytes are counted, not read: a web corpus is 800 GB. What is in them
    is in the index's fingerprints.
    """
    from etils import epath

    return {
      "dataset": self.builder.info.full_name,
      "split": self.split,
      "text_feature": self.text_feature,
      "group_feature": self.group_feature,
      "files": {
        shard: {"bytes": epath.Path(path).stat().length, "records": rows}
        for shard, (path, rows) in self._files.items()
      },
    }

  @functools.cached_property
  def builder(self) -> Any:
    """The prepared dataset's `tfds.core.DatasetBuilder`.

    Raises:
      CorpusError: no such dataset, split or feature, or no TFRecord files.
    """
    import tensorflow_datasets as tfds

    try:
      builder = tfds.builder(
        self.name, data_dir=self.data_dir or None, try_gcs=False
      )
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
      raise CorpusError(
        f"no dataset {self.name!r} in {self.data_dir or 'the default folder'}: "
        f"check name, version and data_dir ({_first_line(error)})"
      ) from error
    splits = builder.info.splits
    if self.split not in splits:
      found = ", ".join(sorted(splits)) or "none: prepare the dataset first"
      raise CorpusError(
        f"{self.name}: no split {self.split!r} in {builder.data_path}; there "
        f"are {found}. Parts and sums of splits cannot be scored: score the "
        "whole split, and let training read the part; the ids are the same"
      )
    self._check_features(builder.info)
    return builder

  def _check_features(self, info: Any) -> None:
    import tensorflow_datasets as tfds

    named = isinstance(info.features, tfds.features.FeaturesDict)
    features = dict(info.features.items()) if named else {}
    for name in filter(None, (self.text_feature, self.group_feature)):
      if not isinstance(features.get(name), tfds.features.Text):
        found = {key: type(value).__name__ for key, value in features.items()}
        raise CorpusError(
          f"{self.name}: no text feature {name!r}; it has {found}: set "
          "text_feature or group_feature"
        )
    if info.file_format != tfds.core.FileFormat.TFRECORD:
      raise CorpusError(
        f"{self.name}: files of format {info.file_format.value!r}; only "
        "TFRecord can be read here"
      )

  @functools.cached_property
  def _files(self) -> dict[str, tuple[str, int]]:
    split = self.builder.info.splits[self.split]
    instructions = split.file_instructions
    return {
      instruction.basename(): (
        str(instruction.filename),
        instruction.examples_in_shard,
      )
      for instruction in instructions
    }

  def _examples(self, path: str, start: int) -> Iterator[dict[str, bytes]]:
    import tensorflow as tf
    import tensorflow_datasets as tfds

    wanted = {self.text_feature: True}
    if self.group_feature:
      wanted[self.group_feature] = True
    features = self.builder.info.features
    parts = tfds.decode.PartialDecoding(wanted).extract_features(features)
    dataset = (
      tf.data.TFRecordDataset(path).skip(start).map(parts.deserialize_example)
    )
    row = start
    try:
      for example in dataset.prefetch(1).as_numpy_iterator():
        yield example
        row += 1
    except tf.errors.OpError as error:
      raise CorpusError(
        f"{path}, row {row}: damaged or truncated ({_first_line(error)}): "
        "prepare the dataset again"
      ) from error

  def _group(self, example: dict[str, bytes], where: str) -> str:
    if not self.group_feature:
      return ""
    return _decoded(example[self.group_feature], where)


def _decoded(data: bytes, where: str) -> str:
  try:
    return data.decode("utf-8")
  except UnicodeDecodeError as error:
    raise CorpusError(
      f"{where}, byte {error.start} of the text: invalid UTF-8: prepare the "
      "dataset again from UTF-8 text"
    ) from error


def _first_line(error: Exception) -> str:
  return str(error).strip().split("\n")[0]
