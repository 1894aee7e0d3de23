# SPDX-License-Identifier: Apache-2.0
"""Byte-level BPE tokenizers that are trained on a pool."""

import json

import pytest

from data_efficient.data import artifacts, byte_pairs, instructions
from data_efficient.models import tokenizer_files

TEXTS = [f"say the number {n}, and say it again" for n in range(50)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
  path.write_bytes(byte_pairs.train(TEXTS, pieces=290))
  return tokenizer_files.TokenizerJson(str(path))


def test_every_text_has_pieces_and_comes_back(trained):
  assert trained.size == 290
  assert trained.begin_ids == (0,) and trained.eos_id == 1
  for text in (TEXTS[3], "新しい\n\t☃ </s><s>", "  two  spaces "):
    ids = trained.encode(text)
    assert min(ids, default=2) > 1  # a mark that a text spells stays text
    assert trained._whole.decode(ids) == text
  assert len(trained.encode(TEXTS[0])) < len(TEXTS[0]) / 2


def test_equal_texts_give_equal_bytes():
  assert byte_pairs.train(TEXTS, pieces=290) == byte_pairs.train(
    TEXTS, pieces=290
  )


@pytest.mark.parametrize(
  ("texts", "pieces", "message"),
  [(TEXTS, 200, "at least 258"), (["a"], 300, "bring more text")],
)
def test_what_cannot_be_trained(texts, pieces, message):
  with pytest.raises(byte_pairs.BytePairsError, match=message):
    byte_pairs.train(texts, pieces=pieces)


def test_it_is_trained_once_and_for_one_pool(tmp_path):
  path = tmp_path / "pool.jsonl"

  def tokenizer():
    pool = instructions.Instructions(
      pattern=str(path),
      prompt_field="instruction",
      input_field="",
      response_field="output",
    )
    return byte_pairs.of_instructions(
      pool=pool, directory=str(tmp_path / "prepared"), pieces=270
    )

  rows = [{"instruction": text, "output": "yes"} for text in TEXTS]
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  first = tokenizer()
  assert tokenizer().fingerprint == first.fingerprint
  path.write_text(json.dumps(rows[0]) + "\n")
  with pytest.raises(artifacts.ArtifactError, match="xxh3_64"):
    tokenizer()
