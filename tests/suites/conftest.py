# SPDX-License-Identifier: Apache-2.0
"""Datasets of TFDS with made-up records, and no network."""

import contextlib
import socket
from unittest import mock

import pytest
import seqio
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


@pytest.fixture
def mocked():
  """`mocked(**settings)`: inside it, TFDS makes up its records."""

  @contextlib.contextmanager
  def made_up(**settings):
    # Their number is in metadata, which made-up datasets have not.
    counted = mock.patch.object(
      seqio.TfdsDataSource, "num_input_examples", lambda *_: EXAMPLES
    )
    with tfds.testing.mock_data(EXAMPLES, **settings), counted:
      yield

  return made_up


@pytest.fixture(autouse=True)
def no_gin():
  gin_config.parse([])
