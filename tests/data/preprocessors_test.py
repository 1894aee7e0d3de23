# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import seqio
import tensorflow as tf

from data_efficient.data import preprocessors

SENTINEL = 9999


def test_a_tfds_id_is_a_shard_and_a_position():
  dataset = tf.data.Dataset.from_tensors(
    {"tfds_id": "c4-train.tfrecord-00012-of-01024__123", "body": "text"}
  )
  (example,) = preprocessors.identify_by_tfds_id(dataset, text_feature="body")
  assert example["shard"].numpy() == b"c4-train.tfrecord-00012-of-01024"
  assert example["position"].numpy() == 123
  assert example["text"].numpy() == b"text"


def test_documents_are_concatenated_and_no_token_is_lost():
  lengths = (3, 5, 9, 2, 1)
  documents = [np.arange(n, dtype=np.int32) + 100 * n for n in lengths]
  dataset = tf.data.Dataset.from_generator(
    lambda: ({"targets": tokens} for tokens in documents),
    output_signature={"targets": tf.TensorSpec((None,), tf.int32)},
  )
  split = preprocessors.concatenate_and_split(
    dataset, length=4, weighted=False, documents=3
  )
  pieces = [example["targets"].numpy() for example in split]
  assert [len(piece) for piece in pieces] == [4, 4, 4, 4, 1, 3]
  assert np.concatenate(pieces).tolist() == np.concatenate(documents).tolist()


def test_every_token_takes_its_document_s_weight_along():
  lengths = (3, 5, 0, 2, 1)
  dataset = tf.data.Dataset.from_generator(
    lambda: (
      {"targets": np.full(n, n), "weight": np.float32(n / 8)} for n in lengths
    ),
    output_signature={
      "targets": tf.TensorSpec((None,), tf.int32),
      "weight": tf.TensorSpec((), tf.float32),
    },
  )
  split = preprocessors.concatenate_and_split(
    dataset, length=4, weighted=True, documents=3
  )
  pieces = list(split.as_numpy_iterator())
  assert [len(piece["targets"]) for piece in pieces] == [4, 4, 3]
  for piece in pieces:
    assert piece["target_weights"].dtype == np.float32
    np.testing.assert_array_equal(piece["target_weights"] * 8, piece["targets"])


def test_a_piece_of_one_token_is_left_out_and_no_other():
  pieces = [[1], [1, 2], [], [3, 4, 5]]
  dataset = tf.data.Dataset.from_generator(
    lambda: ({"targets": piece} for piece in pieces),
    output_signature={"targets": tf.TensorSpec((None,), tf.int32)},
  )
  kept = preprocessors.drop_single_tokens(dataset)
  assert [len(e["targets"]) for e in kept.as_numpy_iterator()] == [2, 3]


def _corrupt(tokens, seed=0, **settings):
  settings = {"noise_density": 0.15, "mean_span_length": 3.0} | settings
  with seqio.utils.map_seed_manager(seed):
    dataset = preprocessors.span_corruption(
      tf.data.Dataset.from_tensors({"targets": tokens}),
      first_sentinel=SENTINEL,
      **settings,
    )
  (example,) = dataset.as_numpy_iterator()
  return example["inputs"].tolist(), example["targets"].tolist()


def _restore(inputs, targets):
  """The text again: each sentinel of the inputs by its span in the targets."""
  spans, current = {}, None
  for token in targets:
    if token > 9000:
      current = spans.setdefault(token, [])
    else:
      current.append(token)
  text = []
  for token in inputs:
    text += spans.pop(token) if token in spans else [token]
  assert not spans
  return text


def _weighted(tokens, weights, seed=0, **settings):
  with seqio.utils.map_seed_manager(seed):
    dataset = preprocessors.span_corruption(
      tf.data.Dataset.from_tensors(
        {"targets": tokens, "target_weights": weights}
      ),
      first_sentinel=SENTINEL,
      **settings,
    )
  (example,) = dataset.as_numpy_iterator()
  return example


@pytest.mark.parametrize("length", [2, 3, 20, 568])
@pytest.mark.parametrize("density, mean", [(0.15, 3.0), (0.5, 2.0)])
def test_a_span_and_its_sentinel_take_the_mean_of_its_tokens(
  length, density, mean
):
  tokens = np.arange(1, length + 1, dtype=np.int32)
  weights = np.random.default_rng(0).random(length).astype(np.float32)
  settings = {"noise_density": density, "mean_span_length": mean}
  found = _weighted(tokens, weights, **settings)
  plain = _corrupt(tokens, **settings)
  assert (found["inputs"].tolist(), found["targets"].tolist()) == plain
  expected, span = [], []
  for token in [*plain[1], SENTINEL]:
    if token > 9000 and span:
      mean_weight = np.mean([weights[t - 1] for t in span[1:]])
      expected += [mean_weight] * len(span)
      span = []
    span.append(token)
  assert found["target_weights"].dtype == np.float32
  np.testing.assert_allclose(found["target_weights"], expected, rtol=1e-6)


def test_weights_of_one_stay_one():
  tokens = np.arange(1, 569, dtype=np.int32)
  found = _weighted(
    tokens,
    np.ones(568, np.float32),
    noise_density=0.15,
    mean_span_length=3.0,
  )
  assert set(found["target_weights"].tolist()) == {1.0}


def test_the_end_weighs_the_mean_of_what_is_left_of_the_targets():
  example = {"targets": [9, 8, 7, 1], "target_weights": [1.0, 2.0, 6.0, 50.0]}
  dataset = tf.data.Dataset.from_tensors(example)
  (found,) = preprocessors.append_weight_of_eos(dataset).as_numpy_iterator()
  assert found["target_weights"].tolist() == [1.0, 2.0, 6.0, 3.0]


@pytest.mark.parametrize("length", [2, 3, 20, 97, 568])
@pytest.mark.parametrize("density, mean", [(0.15, 3.0), (0.5, 2.0), (0.9, 8.0)])
def test_inputs_and_targets_hold_the_text_once(length, density, mean):
  tokens = np.arange(1, length + 1, dtype=np.int32)
  inputs, targets = _corrupt(
    tokens, noise_density=density, mean_span_length=mean
  )
  assert _restore(inputs, targets) == tokens.tolist()


def test_as_many_tokens_and_spans_are_masked_as_asked_for():
  inputs, targets = _corrupt(np.arange(1, 569, dtype=np.int32))
  masked = [t for t in targets if t <= 9000]
  sentinels = [t for t in targets if t > 9000]
  assert len(masked) == round(568 * 0.15)
  assert len(sentinels) == round(len(masked) / 3.0)
  assert sentinels == [SENTINEL - i for i in range(len(sentinels))]
  assert [t for t in inputs if t > 9000] == sentinels


def test_masks_differ_between_examples_and_repeat_with_the_seed():
  tokens = np.arange(1, 200, dtype=np.int32)
  assert _corrupt(tokens, seed=1) == _corrupt(tokens, seed=1)
  assert _corrupt(tokens, seed=1) != _corrupt(tokens, seed=2)


def test_every_cut_into_spans_is_equally_likely():
  # 6 tokens, 3 masked in 2 spans: (1,2) or (2,1) masked, likewise kept.
  counts = {}
  for seed in range(400):
    mask = preprocessors.noise_mask(
      6, seed=[seed, 7], noise_density=0.5, mean_span_length=1.5
    )
    key = "".join("01"[int(bit)] for bit in mask.numpy())
    counts[key] = counts.get(key, 0) + 1
  assert set(counts) == {"010011", "011001", "001011", "001101"}
  # Four standard deviations of a binomial count of 400 with p = 1/4.
  assert all(
    abs(count - 100) < 4 * np.sqrt(400 * 3 / 16) for count in counts.values()
  )


def test_lengths_are_those_of_t5():
  # Raffel et al. 2020: 512 tokens of input come from 568 of text, with 114 of
  # targets.
  lengths = preprocessors.corruption_lengths(
    512, noise_density=0.15, mean_span_length=3.0
  )
  assert lengths == (568, 512, 114, 28)


@pytest.mark.parametrize("inputs", [3, 17, 64, 224, 512])
def test_lengths_are_what_corruption_yields(inputs):
  settings = {"noise_density": 0.15, "mean_span_length": 3.0}
  lengths = preprocessors.corruption_lengths(inputs, **settings)
  corrupted, targets = _corrupt(
    np.arange(1, lengths.tokens + 1, dtype=np.int32)
  )
  assert len(corrupted) + 1 == lengths.inputs <= inputs
  assert len(targets) + 1 == lengths.targets
  longer = np.arange(1, lengths.tokens + 2, dtype=np.int32)
  assert len(_corrupt(longer)[0]) + 1 > inputs


def test_inputs_too_short_for_a_span_are_refused():
  with pytest.raises(ValueError, match="too short"):
    preprocessors.corruption_lengths(
      2, noise_density=0.15, mean_span_length=3.0
    )
