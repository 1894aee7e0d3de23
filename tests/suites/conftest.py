# SPDX-License-Identifier: Apache-2.0
"""Datasets of TFDS with made-up records, and no network."""

import contextlib
import socket
from unittest import mock

import pytest
import seqio
import tensorflow as tf
import tensorflow_datasets as tfds

from data_efficient import gin_config
from tests.data import served

EXAMPLES = 8


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory):
  return served.train_vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
  def refuse(self, address):
    raise OSError(f"a test asked the network for {address}")

  monkeypatch.setattr(socket.socket, "connect", refuse)


def _wsc(labels):
  """T5's preprocessor looks for the pronoun in the text."""
  record = {
    **{"idx": 0, "text": "Mark told Pete lies about himself ."},
    **{"span1_index": 0, "span1_text": "Mark"},
    **{"span2_index": 5, "span2_text": "himself"},
  }
  rows = tf.data.Dataset.from_tensor_slices(labels)
  return (
    rows.map(lambda label: {**record, "label": label}).repeat().take(EXAMPLES)
  )


@contextlib.contextmanager
def _made_up(*, wsc_labels=(1,), **settings):
  # Their number is in metadata, which made-up datasets have not.
  counted = mock.patch.object(
    seqio.TfdsDataSource, "num_input_examples", lambda *_: EXAMPLES
  )
  builder = tfds.core.dataset_builder.FileReaderBuilder
  with tfds.testing.mock_data(EXAMPLES, **settings), counted:
    any_record = builder._as_dataset

    def records(self, *arguments, **keywords):
      if self.name == "super_glue" and "wsc" in self.builder_config.name:
        return _wsc(list(wsc_labels))
      return any_record(self, *arguments, **keywords)

    with mock.patch.object(builder, "_as_dataset", records):
      yield


@pytest.fixture
def mocked():
  """`mocked(**settings)`: inside it, TFDS makes up its records."""
  return _made_up


@pytest.fixture(scope="module")
def mocked_module():
  """The same, for what a module does once."""
  return _made_up


@pytest.fixture(autouse=True)
def no_gin():
  gin_config.parse([])
