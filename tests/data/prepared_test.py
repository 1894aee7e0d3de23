# SPDX-License-Identifier: Apache-2.0
"""A corpus with separate ones for its evaluation sets."""

import pytest

from data_efficient.data import corpora, prepared
from tests.data import fakes, splits_test


@pytest.fixture
def corpus(tmp_path):
  texts = splits_test._texts(1, 90)
  return prepared.Prepared(
    corpus=fakes.Memory({"web": texts[:40]}),
    directory=str(tmp_path),
    policy=splits_test.PLAIN,
    hq_corpus=fakes.Memory({"books": texts[40:70]}, name="books"),
    in_distribution_corpus=fakes.Memory({"own": texts[70:]}, name="own"),
  )


def test_each_split_has_the_index_of_its_corpus(corpus):
  names = {
    name: corpus.index_of(name).name
    for name in ("pool", "reference", "hq", "in_distribution")
  }
  assert names == {
    "pool": "memory",
    "reference": "books",
    "hq": "books",
    "in_distribution": "own",
  }
  assert corpus.index_of("pool") is corpus.index
  with pytest.raises(corpora.CorpusError, match="no split 'web'"):
    corpus.index_of("web")


def test_a_separate_split_has_no_record_of_the_corpus(corpus):
  assert not corpus.mask(["reference", "hq", "in_distribution"])["web"].any()
  assert corpus.mask(["pool"])["web"].all()
