# SPDX-License-Identifier: Apache-2.0
"""The bitmap's filter and the weights of what it keeps, record by record."""

import numpy as np
import pytest
import tensorflow as tf

from data_efficient.data import record_filter


def _examples(*pairs):
  return tf.data.Dataset.from_generator(
    lambda: ({"shard": s, "position": p} for s, p in pairs),
    output_signature={
      "shard": tf.TensorSpec((), tf.string),
      "position": tf.TensorSpec((), tf.int64),
    },
  )


def _bitmap(masks):
  flat = np.concatenate(list(masks.values()))
  starts = np.cumsum([0, *map(len, masks.values())]).tolist()
  return record_filter.Bitmap(
    bits=np.packbits(flat, bitorder="little"),
    starts=dict(zip(masks, starts, strict=False)),
    records={name: len(mask) for name, mask in masks.items()},
  )


def test_the_filter_keeps_just_the_selected_records_of_each_shard():
  generator = np.random.default_rng(0)
  masks = {name: generator.random(n) < 0.4 for name, n in (("a", 13), ("b", 9))}
  pairs = [
    (name, row) for name in ("b", "a") for row in range(len(masks[name]))
  ]
  kept = record_filter.keep_selected(_examples(*pairs), bitmap=_bitmap(masks))
  found = [
    (e["shard"].decode(), int(e["position"])) for e in kept.as_numpy_iterator()
  ]
  assert found == [(name, row) for name, row in pairs if masks[name][row]]


@pytest.mark.parametrize("pair", [("c", 0), ("a", 13), ("b", 9)])
def test_the_filter_refuses_records_that_the_selection_does_not_know(pair):
  masks = {"a": np.ones(13, bool), "b": np.ones(9, bool)}
  kept = record_filter.keep_selected(_examples(pair), bitmap=_bitmap(masks))
  with pytest.raises(tf.errors.InvalidArgumentError, match="selection"):
    list(kept)


def test_the_filter_works_in_parallel_and_shuffled():
  mask = np.arange(1000) % 7 == 3
  pairs = _examples(*(("a", row) for row in range(1000)))
  shuffled = pairs.shuffle(100, seed=1).repeat(2)
  kept = record_filter.keep_selected(shuffled, bitmap=_bitmap({"a": mask}))
  rows = sorted(int(e["position"]) for e in kept.as_numpy_iterator())
  assert rows == sorted(2 * np.flatnonzero(mask).tolist())


@pytest.mark.parametrize("share", [0.0005, 0.3, 1.0])
def test_each_kept_record_has_its_own_weight(share):
  # Several blocks of the bitmap, shards that end inside one, an empty shard.
  generator = np.random.default_rng(1)
  sizes = {"a": 700, "none": 0, "b": 1, "c": 1100}
  masks = {name: generator.random(n) < share for name, n in sizes.items()}
  masks["c"][-1] = True
  weights = {
    name: generator.random(mask.sum()).astype(np.float32)
    for name, mask in masks.items()
  }
  pairs = [
    (name, row)
    for name in masks
    for row in np.flatnonzero(masks[name]).tolist()
  ]
  dataset = record_filter.add_weights(
    _examples(*pairs),
    weights=record_filter.KeptWeights(
      _bitmap(masks), np.concatenate(list(weights.values()))
    ),
  )
  found = [
    (e["shard"].decode(), int(e["position"]), float(e["weight"]))
    for e in dataset.as_numpy_iterator()
  ]
  assert found == [
    (name, row, float(weight))
    for name, mask in masks.items()
    for row, weight in zip(np.flatnonzero(mask), weights[name], strict=True)
  ]
