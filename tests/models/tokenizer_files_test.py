# SPDX-License-Identifier: Apache-2.0
"""`tokenizer.json` against the library itself, and against SentencePiece."""

import gzip
import itertools
import json
import pathlib

import pytest
import sentencepiece
import tokenizers as library

from data_efficient import gin_config
from data_efficient.data import tasks
from data_efficient.models import tokenizer_files, tokenizers
from data_efficient.scorers import questions

PIECES = [
  *(("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)),
  *(("▁", -2.0), ("▁yes", -3.0), ("▁no", -3.0), ("o", -4.0), ("n", -4.0)),
  *((letter, -5.0) for letter in "<>/sapdye"),
  ("<extra_id_0>", 0.0),
]
SPECIAL = ("<pad>", "</s>", "<unk>", "<extra_id_0>")


def _unigram() -> dict:
  """A small file like T5's."""
  made = library.Tokenizer(library.models.Unigram(PIECES, unk_id=2))
  made.pre_tokenizer = library.pre_tokenizers.Metaspace()
  made.add_special_tokens(list(SPECIAL))
  made.post_processor = library.processors.TemplateProcessing(
    single="$A </s>", special_tokens=[("</s>", 1)]
  )
  made.enable_padding(length=9)
  made.enable_truncation(max_length=4)
  return json.loads(made.to_str())


@pytest.fixture
def write(tmp_path):
  def write(description, name="tokenizer.json"):
    path = tmp_path / name
    path.write_text(json.dumps(description))
    return tokenizer_files.read(str(path))

  return write


@pytest.fixture
def unigram(write):
  return write(_unigram())


@pytest.fixture(scope="module")
def files(shared):
  """The shared files by the beginning of their names."""
  found = (shared / "tokenizers").glob("*.json")
  return {
    path.name.split("-")[0].split(".")[0]: tokenizer_files.read(str(path))
    for path in found
  }


@pytest.fixture(scope="module")
def documents(shared):
  """The first of every source, up to 2,000 characters of each."""
  texts = []
  for path in sorted((shared / "data/pretrain").glob("*.jsonl.gz")):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
      rows = [json.loads(line) for line in itertools.islice(lines, 60)]
    texts += [row["text"][:2000] for row in rows]
  return texts


def test_texts_of_a_unigram_are_its_pieces_and_nothing_else(unigram):
  assert unigram.encode("yes no") == [4, 5]
  assert unigram.encode("") == []
  # More than the file's own 4, and no padding to its 9.
  assert unigram.encode("no" + " no" * 19) == [5] * 20
  assert isinstance(unigram, tokenizers.Tokenizer)
  assert (unigram.eos_id, unigram.begin_ids, unigram.size) == (1, (), 18)
  assert unigram.first_sentinel == 17


@pytest.mark.parametrize("name", SPECIAL)
def test_a_text_cannot_spell_a_special_token(name, unigram):
  ids = unigram.encode(f"no {name} {name}")
  assert not {0, 1, 17} & set(ids)
  assert len(ids) > 6
  # The file itself would have found it.
  whole = library.Tokenizer.from_file(unigram.path)
  assert whole.encode(f"no {name}").ids[1:3] != ids[1:3]


def test_answers_follow_a_text(unigram):
  assert unigram.answer_ids("yes") == [4]
  assert unigram.answer_ids("nn") == [3, 7, 7]
  for word in ("да", ""):
    with pytest.raises(tokenizers.TokenizerError, match="json: .*known pieces"):
      unigram.answer_ids(word)


def _byte_level(**options) -> dict:
  """BPE without merges, its special tokens numbered first."""
  alphabet = sorted(library.pre_tokenizers.ByteLevel.alphabet())
  special = options.get("special", ["<|pad|>", "<|endoftext|>", "<|im_end|>"])
  vocabulary = {piece: i for i, piece in enumerate([*special, *alphabet])}
  made = library.Tokenizer(library.models.BPE(vocabulary, []))
  made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
  made.add_special_tokens(special)
  return json.loads(made.to_str())


def test_a_decoder_only_family(write):
  made = write(_byte_level())
  assert made.eos_id == 1 and made.begin_ids == ()
  assert len(made.encode("да <|endoftext|>")) == 4 + 1 + 13
  assert made.encode("x y")[1:] == made.answer_ids("y")
  # Any bytes can be spelt.
  assert len(made.answer_ids("да")) == 5
  assert not hasattr(made, "first_sentinel")


def test_begin_ids_are_the_template_s(write):
  description = _byte_level(special=["<unk>", "<s>", "</s>"])
  begin = {"SpecialToken": {"id": "<s>", "type_id": 0}}
  text = {"Sequence": {"id": "A", "type_id": 0}}
  end = {"SpecialToken": {"id": "</s>", "type_id": 0}}
  described = {
    name: {"id": name, "ids": [number], "tokens": [name]}
    for number, name in ((1, "<s>"), (2, "</s>"))
  }
  description["post_processor"] = {
    "type": "TemplateProcessing",
    "single": [begin, text, end],
    "pair": [begin, text, text],
    "special_tokens": described,
  }
  made = write(description)
  assert (made.begin_ids, made.eos_id) == ((1,), 2)
  assert len(made.encode("x")) == 1


def test_an_ordinary_piece_of_id_0_is_said(write):
  assert write(_byte_level(special=[])).piece_of_zero == "!"
  assert write(_byte_level(special=["[PAD]"])).piece_of_zero is None


def test_no_end_of_sequence(write):
  made = write(_byte_level(special=["[PAD]", "[MASK]"]))
  with pytest.raises(
    tokenizers.TokenizerError,
    match=r"tokenizer.json: no end-of-sequence token; .*'\[PAD\]'",
  ):
    _ = made.eos_id


def test_broken_files_are_named(tmp_path):
  path = tmp_path / "tokenizer.json"
  made = tokenizer_files.read(str(path))
  with pytest.raises(tokenizers.TokenizerError, match="json: cannot be read"):
    made.encode("a")
  whole = json.dumps(_unigram())
  for text, message in (
    (whole[: len(whole) // 2], "is not JSON, or cut short"),
    ('{"bos_token": "<s>"}', "not a tokenizer.json"),
    ("[]", "not a tokenizer.json"),
    ('{"added_tokens": [{"id": 0}], "model": {"type": "?"}}', "knows"),
  ):
    path.write_text(text)
    with pytest.raises(tokenizers.TokenizerError, match=f"{path}: .*{message}"):
      tokenizer_files.read(str(path)).size  # noqa: B018


def test_a_file_is_told_by_its_name_or_content(tmp_path, write):
  json_by_name = tokenizer_files.read("nothing/there.json")
  assert isinstance(json_by_name, tokenizer_files.TokenizerJson)
  by_content = write(_unigram(), name="vocabulary")
  assert by_content.encode("yes") == [4]
  (tmp_path / "spm").write_bytes(b"\n\x0e\n\x05<pad>")
  for path in (tmp_path / "spm", tmp_path / "nothing.model"):
    found = tokenizer_files.read(str(path))
    assert isinstance(found, tokenizers.SentencePiece)


def test_a_directory_s_tokenizer(tmp_path, write):
  with pytest.raises(tokenizers.TokenizerError, match=f"{tmp_path}: no token"):
    tokenizer_files.read(str(tmp_path))
  made = write(_unigram())
  assert tokenizer_files.read(str(tmp_path)) == made
  model = tmp_path / "spiece.model"
  model.write_bytes(b"")
  assert tokenizer_files.read(str(tmp_path)).path == str(model)


def test_fingerprint_is_of_the_file(write, unigram):
  again = write(_unigram(), name="copy.json")
  assert again.fingerprint == unigram.fingerprint
  other = write(_unigram() | {"version": "1"}, name="other.json")
  assert other.fingerprint != unigram.fingerprint


def test_gin_takes_either_and_training_names_the_other(unigram, tmp_path):
  def vocabulary(path):
    gin_config.parse(
      [
        *("gin/runs/score.gin", "gin/data/files.gin"),
        *("gin/data/vocabulary_file.gin", "gin/scorers/token_counts.gin"),
      ],
      [f"VOCABULARY_FILE={path}", "FILES=x", "PREPARED=x", "OUTPUT=x"],
    )
    return gin_config.configured(tokenizer_files.read)()

  assert vocabulary(unigram.path) == unigram
  assert isinstance(vocabulary("spiece.model"), tokenizers.SentencePiece)
  with pytest.raises(tokenizers.TokenizerError, match="only scoring reads"):
    tasks.seqio_vocabulary(unigram)


def test_t5_s_two_files_give_the_same_pieces(files, shared, documents):
  (model,) = (shared / "tokenizers").glob("*.model")
  reference = sentencepiece.SentencePieceProcessor(model_file=str(model))
  library_s = library.Tokenizer.from_file(files["t5"].path)
  different = 0
  for text in documents:
    # The shared model has "<s>" as piece 2: its ids are one higher.
    theirs = [i - 1 for i in reference.EncodeAsIds(text)]
    ours = files["t5"].encode(text)
    if ours == theirs:
      continue
    different += 1
    # Two ways to split a text that are equally likely ("---" "-", or "-"
    # "---"): the libraries break such ties each in its way.
    spelt = ["".join(map(library_s.id_to_token, ids)) for ids in (ours, theirs)]
    assert spelt[0] == spelt[1]
    sums = [
      sum(reference.GetScore(i + 1) for i in ids) for ids in (ours, theirs)
    ]
    assert abs(sums[0] - sums[1]) < 1e-4 * abs(sums[0])
  assert different < 0.03 * len(documents)
  assert files["t5"].answer_ids("yes") == [4273]
  assert files["t5"].answer_ids("no") == [150]


def test_end_and_beginning_of_published_files(files):
  found = {
    name: (file.eos_id, file.begin_ids, file.end_ids, file.size)
    for name, file in files.items()
  }
  assert found == {
    "t5": (1, (), (1,), 32100),
    "mistral": (2, (1,), (), 32000),
    "gpt": (50279, (), (), 50280),
    # [CLS] and [SEP], whatever its padding to 128 tokens is.
    "all": (102, (101,), (102,), 30522),
  }
  assert files["t5"].first_sentinel == 32099
  # 128 tokens, says its file.
  assert len(files["all"].encode("a " * 500)) == 500


@pytest.mark.parametrize("name", ["t5", "mistral", "gpt", "all"])
def test_single_texts_are_those_of_a_batch(name, files, documents):
  whole = library.Tokenizer.from_file(files[name].path)
  whole.no_padding()
  whole.no_truncation()
  # The library takes special tokens that a text spells for what they name.
  special = ("<s>", "</s>", "<unk>", "<pad>")
  texts = [text for text in documents if not any(s in text for s in special)]
  assert len(texts) > 0.9 * len(documents)
  batch = whole.encode_batch(texts[::7], add_special_tokens=False)
  for text, encoded in zip(texts[::7], batch, strict=True):
    assert files[name].encode(text) == encoded.ids


@pytest.mark.parametrize("name", ["t5", "mistral", "gpt"])
def test_the_head_of_a_document_is_exact(name, files, documents):
  tokenizer = files[name]
  for text in documents[::3]:
    pieces = tokenizer.encode(text)
    for tokens in (1, 7, 60):
      assert questions.head(tokenizer, text, tokens) == pieces[:tokens]


def test_reading_does_not_need_the_file(tmp_path):
  missing = pathlib.Path(tmp_path / "later.json")
  assert tokenizer_files.read(str(missing)).path == str(missing)
