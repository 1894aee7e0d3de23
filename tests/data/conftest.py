# SPDX-License-Identifier: Apache-2.0
"""One corpus of each kind that the index serves, for all tests here."""

import pytest

from tests.data import served


@pytest.fixture(scope="session")
def corpora_of_all_kinds(tmp_path_factory):
  """Kind to (corpus, index, selection of half); do not change them."""
  root = tmp_path_factory.mktemp("kinds")
  return {
    kind: served.parts(served.WRITE[kind](root / kind), root / f"{kind}_index")
    for kind in served.KINDS
  }


@pytest.fixture(params=served.KINDS)
def parts(request, corpora_of_all_kinds):
  """(corpus, index, selection) of each kind."""
  return corpora_of_all_kinds[request.param]


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory):
  """330 pieces."""
  return served.train_vocabulary(tmp_path_factory.mktemp("vocabulary"))
