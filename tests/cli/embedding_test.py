# SPDX-License-Identifier: Apache-2.0
"""A published encoder by the command line, and samplers on its vectors."""

import json
import random

import numpy as np
import pytest
import tokenizers as library

from data_efficient import gin_config, main
from data_efficient.data import embedding_sets, score_sets
from tests.models import encoders

WORDS = [f"{first}{last}" for first in "bdfgklm" for last in "aeiou"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
# Records of two files; the last of each is a copy of its first.
SHARDS = {"a": 40, "b": 20}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
  """A small BERT with its WordPiece tokenizer."""
  directory = tmp_path_factory.mktemp("encoder")
  encoders.write_bert(directory, encoders.parameters(encoders.BERT))
  pieces = {piece: i for i, piece in enumerate([*SPECIAL, *WORDS])}
  made = library.Tokenizer(library.models.WordPiece(pieces, unk_token="[UNK]"))
  made.normalizer = library.normalizers.BertNormalizer()
  made.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
  made.add_special_tokens(SPECIAL)
  made.post_processor = library.processors.TemplateProcessing(
    single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
  )
  made.enable_padding(length=9)
  made.enable_truncation(max_length=4)
  made.save(str(directory / "tokenizer.json"))
  return directory


@pytest.fixture(scope="module")
def place(tmp_path_factory):
  """A corpus, and gin files of small scorers."""
  return write_place(tmp_path_factory.mktemp("scored"))


def write_place(directory):
  """Fills and returns it."""
  generator = random.Random(0)
  for name, count in SHARDS.items():
    texts = [" ".join(generator.choices(WORDS, k=30)) for _ in range(count)]
    texts[-1] = texts[0]
    rows = [json.dumps({"source": "web", "text": text}) for text in texts]
    (directory / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
  (directory / "encoder.gin").write_text(
    "include 'gin/scorers/minilm.gin'\n"
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.scorers import embedding\n"
    "ENCODER_TOKENS = 24\n"
    "embedding.Embedding:\n  length_step = 8\n  part_records = 16\n"
  )
  for name in ("semdedup", "prototypes"):
    (directory / f"{name}.gin").write_text(
      f"include 'gin/scorers/{name}.gin'\n"
      "from __gin__ import dynamic_registration\n"
      "from data_efficient.scorers import clusters\n"
      "CLUSTERS = 3\n"
      "clusters.KMeans:\n  rounds = 3\n  block = 32\n"
    )
  return directory


def _score(place, *names, output, **bindings):
  """Runs `score`; bindings are gin's own words."""
  values = {
    "FILES": f"'{place}/*.jsonl'",
    "PREPARED": f"'{place}/prepared'",
    "OUTPUT": f"'{place / output}'",
    "SCORED_SPLITS": "None",
    **bindings,
  }
  files = ["gin/runs/score.gin", "gin/data/files.gin"]
  files += [f"{place}/{name}.gin" for name in names]
  return main.main(
    ["score", *(f"--gin_file={name}" for name in files)]
    + [f"--gin.{name}={value}" for name, value in values.items()]
  )


@pytest.fixture(scope="module")
def vectors(place, checkpoint):
  """Directory of the embedding set, float32."""
  assert 0 == _score(
    place,
    "encoder",
    output="vectors",
    ENCODER_CHECKPOINT=f"'{checkpoint}'",
    VECTOR_TYPE="'float32'",
  )
  return place / "vectors"


def test_an_embedding_set_says_what_made_it(vectors):
  found = embedding_sets.EmbeddingSet.open(vectors)
  encoder = found.encoder["encoder"]
  assert encoder["kind"] == "minilm" and encoder["network"]["emb_dim"] == 16
  assert found.encoder["max_input_tokens"] == 24
  (block,) = found.take("a.jsonl", np.arange(40))
  assert block.dtype == np.float32
  np.testing.assert_allclose(np.linalg.norm(block, axis=1), 1, atol=1e-5)
  np.testing.assert_allclose(block[0], block[-1], atol=1e-5)


def test_half_precision_is_one_binding(place, checkpoint, vectors):
  assert 0 == _score(
    place,
    "encoder",
    output="halves",
    ENCODER_CHECKPOINT=f"'{checkpoint}'",
  )
  halves = embedding_sets.EmbeddingSet.open(place / "halves")
  singles = embedding_sets.EmbeddingSet.open(vectors)
  (half,) = halves.take("b.jsonl", np.arange(20))
  (single,) = singles.take("b.jsonl", np.arange(20))
  assert half.dtype == np.float16
  np.testing.assert_allclose(half, single, atol=1e-3)


def test_semdedup_reads_the_set_and_names_the_copy(place, vectors):
  assert 0 == _score(
    place, "semdedup", output="semdedup", EMBEDDINGS=f"'{vectors}'"
  )
  found = score_sets.ScoreSet.open(place / "semdedup")
  columns = found.read(["score", "nearest"])
  scores, nearest = (
    np.concatenate([columns[name][f"{shard}.jsonl"] for shard in SHARDS])
    for name in ("score", "nearest")
  )
  copies = {0: 39, 39: 0, 40: 59, 59: 40}
  # One of each two is spared.
  low = np.argsort(scores)[:2]
  assert {copies[row] // 40 for row in low} == {0, 1}
  np.testing.assert_allclose(scores[low], -1, atol=1e-6)
  for row in low:
    assert nearest[row] == copies[row]


def test_vectors_made_anew_are_those_of_the_set(place, checkpoint, vectors):
  assert 0 == _score(
    place, "prototypes", output="stored", EMBEDDINGS=f"'{vectors}'"
  )
  assert 0 == _score(
    place,
    "encoder",
    "prototypes",
    output="anew",
    ENCODER_CHECKPOINT=f"'{checkpoint}'",
    VECTOR_TYPE="'float32'",
    RECOMPUTED="%EMBEDDER",
  )
  stored, anew = (
    score_sets.ScoreSet.open(place / name) for name in ("stored", "anew")
  )
  assert stored.identity["inputs"] == anew.identity["inputs"]
  for shard in SHARDS:
    np.testing.assert_allclose(
      stored.shard_column(f"{shard}.jsonl", "score"),
      anew.shard_column(f"{shard}.jsonl", "score"),
      atol=1e-4,
    )


@pytest.mark.parametrize("name", ["sentence_t5_base", "minilm", "bge", "e5"])
def test_a_published_encoder_is_a_gin_file_and_a_checkpoint(name):
  files = ["gin/runs/score.gin", "gin/data/files.gin"]
  files.append(f"gin/scorers/{name}.gin")
  bindings = ["FILES=x", "PREPARED=x", "OUTPUT=x"]
  with pytest.raises(gin_config.GinError, match="ENCODER_CHECKPOINT"):
    gin_config.parse(files, bindings)
  gin_config.parse(files, [*bindings, "ENCODER_CHECKPOINT=x"])
  assert f"ENCODER_KIND = '{name}'" in gin_config.resolved()


@pytest.mark.parametrize(
  "bindings", [{}, {"EMBEDDINGS": "'x'", "RECOMPUTED": "%SCORER"}]
)
def test_vectors_come_from_one_place(bindings, place, capsys):
  assert _score(place, "prototypes", output="none", **bindings) == 2
  assert "give either --gin.EMBEDDINGS" in capsys.readouterr().err
