# SPDX-License-Identifier: Apache-2.0
"""A corpus in TensorFlow Datasets (TFRecord or ArrayRecord files).

A record's id is the `tfds_id` that TFDS gives in training when it reads with
`ReadConfig(add_tfds_id=True)`: "{file}__{row}". TensorFlow is imported when
the corpus is first used.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from data_efficient.data import records, tfds_files
from data_efficient.data.corpora import CorpusError
from data_efficient.data.records import Record

_FORMATS = ("tfrecord", "array_record")


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
      CorpusError: no such dataset, split or feature, or files of another
        format.
    """
    return list(self._files)

  def read(self, shard: str, start: int = 0) -> Iterator[Record]:
    """Yields a file's records from row `start` on.

    Raises:
      CorpusError: no such file, or a damaged one; names file and row.
    """
    file = self._file(shard)
    rows = start
    for payload in self._reader.read(file, start):
      where = f"{file.path}, row {rows}"
      group = self.group_feature
      yield Record(
        position=rows,
        text=payload.text(self.text_feature, where),
        source=self.name,
        group=payload.text(group, where) if group else "",
        id=records.record_id(shard, rows),
        offset=payload.offset,
      )
      rows += 1
    if rows != max(file.records, start):
      raise CorpusError(
        f"{file.path}: {rows} rows, where the dataset's description has "
        f"{file.records}: prepare the dataset again"
      )

  def check_random_access(self) -> None:
    """Both formats allow it: nothing to complain of."""

  def fetch(
    self, shard: str, positions: Sequence[int], offsets: Sequence[int]
  ) -> list[str]:
    """Returns the texts of some rows of a file; see `corpora.RandomAccess`."""
    file = self._file(shard)
    payloads = self._reader.fetch(file, positions, offsets)
    return [
      payload.text(self.text_feature, f"{file.path}, row {position}")
      for position, payload in zip(positions, payloads, strict=True)
    ]

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
        shard: {
          "bytes": epath.Path(file.path).stat().length,
          "records": file.records,
        }
        for shard, file in self._files.items()
      },
    }

  @functools.cached_property
  def builder(self) -> Any:
    """The prepared dataset's `tfds.core.DatasetBuilder`.

    Raises:
      CorpusError: no such dataset, split or feature, or files of another
        format.
    """
    import tensorflow_datasets as tfds

    try:
      builder = tfds.builder(
        self.name, data_dir=self.data_dir or None, try_gcs=False
      )
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
      raise CorpusError(
        f"no dataset {self.name!r} in {self.data_dir or 'the default folder'}: "
        f"check name, version and data_dir ({tfds_files.first_line(error)})"
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
    if info.file_format.value not in _FORMATS:
      raise CorpusError(
        f"{self.name}: files of format {info.file_format.value!r}; only "
        f"{' and '.join(_FORMATS)} can be read here: prepare the dataset again "
        "(tfds build --file_format=tfrecord)"
      )

  @property
  def has_array_records(self) -> bool:
    """Whether the files are ArrayRecord, which `as_dataset` cannot read."""
    return self.builder.info.file_format.value == "array_record"

  @functools.cached_property
  def _files(self) -> dict[str, tfds_files.Shard]:
    split = self.builder.info.splits[self.split]
    found: dict[str, tfds_files.Shard] = {}
    first = 0
    for instruction in split.file_instructions:
      rows = instruction.examples_in_shard
      path = str(instruction.filename)
      found[instruction.basename()] = tfds_files.Shard(path, rows, first)
      first += rows
    return found

  def _file(self, shard: str) -> tfds_files.Shard:
    if shard not in self._files:
      raise CorpusError(f"{self.name}: no file {shard!r} in {self.split!r}")
    return self._files[shard]

  @functools.cached_property
  def _reader(self) -> tfds_files.TfRecord | tfds_files.ArrayRecord:
    if self.has_array_records:
      return tfds_files.ArrayRecord(self.builder, self.split)
    return tfds_files.TfRecord()
