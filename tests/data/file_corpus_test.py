# SPDX-License-Identifier: Apache-2.0
"""Files by glob: every format, and every complaint with file and row."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from data_efficient.data import corpora, corpus_index, file_corpus

ROWS = [
  {"text": "first", "source": "web", "domain": "a.org"},
  {"text": "zweite Zeile: größer", "domain": "b.org"},
  {"text": "", "source": None, "domain": 3},
]


def _lines(rows=ROWS):
  return "".join(
    json.dumps(row, ensure_ascii=False) + "\n" for row in rows
  ).encode()


def _zst(data):
  sink = pa.BufferOutputStream()
  with pa.CompressedOutputStream(sink, "zstd") as stream:
    stream.write(data)
  return sink.getvalue().to_pybytes()


def _files(path, **fields):
  return file_corpus.Files(pattern=str(path), **fields)


def _read(corpus):
  return [record for shard in corpus.shards() for record in corpus.read(shard)]


def _error(path, *, content=None, read=True, **fields):
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(corpora.CorpusError) as error:
    corpus = _files(path, **fields)
    _read(corpus) if read else corpus.shards()
  return str(error.value)


@pytest.mark.parametrize(
  "suffix, pack",
  [
    (".jsonl", bytes),
    (".json", bytes),
    (".jsonl.gz", gzip.compress),
    (".jsonl.zst", _zst),
  ],
)
def test_json_lines(tmp_path, suffix, pack):
  path = tmp_path / f"one{suffix}"
  path.write_bytes(pack(b"\xef\xbb\xbf" + _lines() + b"\n"))
  corpus = _files(path, group_field="domain")
  records = _read(corpus)
  assert [r.text for r in records] == [row["text"] for row in ROWS]
  assert [r.source for r in records] == ["web", "one", "one"]
  assert [r.group for r in records] == ["a.org", "b.org", "3"]
  assert [r.position for r in records] == [0, 1, 2]
  assert records[2].id == f"one{suffix}__2"
  assert list(corpus.read(f"one{suffix}", 1)) == records[1:]


def test_parquet(tmp_path):
  table = pa.table({"body": ["a", "b", "ü"], "source": ["x", None, "y"]})
  pyarrow.parquet.write_table(table, tmp_path / "p.parquet", row_group_size=2)
  corpus = _files(tmp_path / "p.parquet", text_field="body")
  assert [(r.text, r.source) for r in _read(corpus)] == [
    ("a", "x"),
    ("b", "p"),
    ("ü", "y"),
  ]
  assert [r.position for r in corpus.read("p.parquet", 2)] == [2]


def test_text_by_paragraph_and_by_line(tmp_path):
  (tmp_path / "t.txt").write_text("one\ntwo \n\n \nthree\r\n\nfour")
  corpus = _files(tmp_path / "t.txt")
  assert [r.text for r in _read(corpus)] == ["one\ntwo", "three", "four"]
  corpus = _files(tmp_path / "t.txt", text_unit="line")
  assert [r.text for r in _read(corpus)] == ["one", "two", "three", "four"]


def test_shards_are_sorted_unique_and_relative(tmp_path):
  for name in ("b/x.txt", "a/x.txt", "a/y.txt.gz"):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(
      gzip.compress(b"y") if name.endswith("gz") else b"x"
    )
  patterns = [str(tmp_path / "**" / "*.txt*"), str(tmp_path / "b" / "*")]
  corpus = file_corpus.Files(pattern=patterns)
  assert corpus.shards() == ["a/x.txt", "a/y.txt.gz", "b/x.txt"]


def test_identity_follows_bytes_not_times(tmp_path):
  path = tmp_path / "one.jsonl"
  path.write_bytes(_lines())
  before = _files(path).identity()
  path.write_bytes(_lines())
  assert _files(path).identity() == before
  path.write_bytes(_lines().replace(b"first", b"thirt"))
  changed = _files(path).identity()
  assert changed["files"]["one.jsonl"]["bytes"] == path.stat().st_size
  assert changed != before


def test_empty_glob(tmp_path):
  message = _error(tmp_path / "*.jsonl", read=False)
  assert "no file matches" in message and "*.jsonl" in message


def test_unknown_suffix(tmp_path):
  message = _error(tmp_path / "a.pdf", content=b"", read=False)
  assert "a.pdf" in message and ".jsonl" in message


@pytest.mark.parametrize("suffix, pack", [("gz", gzip.compress), ("zst", _zst)])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.95])
def test_truncated_compression(tmp_path, suffix, pack, part):
  rows = [{"text": f"{i} {i * 7919 % 10007}"} for i in range(20000)]
  data = pack(_lines(rows))
  path = tmp_path / f"cut.jsonl.{suffix}"
  message = _error(path, content=data[: int(len(data) * part)])
  assert "cut.jsonl" in message and "row" in message
  assert "truncated" in message


def test_flipped_byte_in_gzip(tmp_path):
  data = bytearray(gzip.compress(_lines() * 100))
  data[len(data) // 2] ^= 255
  path = tmp_path / "bad.jsonl.gz"
  message = _error(path, content=bytes(data))
  assert "bad.jsonl.gz" in message and "row" in message


@pytest.mark.parametrize(
  "line, expected",
  [
    (b'{"text": "a"', "invalid JSON"),
    (b"[1, 2]", "expected an object, found list"),
    (b'{"body": "a", "n": 1}', "no field 'text'; it has 'body', 'n'"),
    (b'{"text": 5}', "holds int, expected a string"),
    (b'{"text": null}', "holds null"),
    (b'{"text": "\xff\xfe"}', "invalid UTF-8"),
  ],
)
def test_bad_row_is_named(tmp_path, line, expected):
  path = tmp_path / "bad.jsonl"
  message = _error(path, content=_lines(ROWS[:2]) + line + b"\n")
  assert "bad.jsonl, row 2" in message and expected in message


def test_halves_of_pairs_cost_one_character_each(tmp_path, capsys):
  path = tmp_path / "halves.jsonl"
  rows = [b'{"text": "a"}', b'{"text": "b \\ud800 c", "source": "\\udfff"}']
  rows += [b'{"text": "\\ud83d\\ude00 \\udc00\\ud800"}']
  path.write_bytes(b"\n".join(rows) + b"\n")
  corpus = _files(path)
  records = _read(corpus)
  expected = ["a", "b \ufffd c", "\U0001f600 \ufffd\ufffd"]
  assert [record.text for record in records] == expected
  assert records[1].source == "\ufffd"
  offsets = [record.offset for record in records]
  assert corpus.fetch(corpus.shards()[0], range(3), offsets) == expected
  assert _read(corpus) == records
  said = capsys.readouterr().err
  assert said.count("U+FFFD") == 1
  assert "halves.jsonl, row 1 (line 2) and 1 more" in said


def test_blank_line_in_the_middle(tmp_path):
  content = b'{"text": "a"}\n\n{"text": "b"}\n'
  message = _error(tmp_path / "bad.jsonl", content=content)
  assert "line 2 is blank" in message


def test_missing_group(tmp_path):
  content = b'{"text": "a"}\n'
  message = _error(tmp_path / "g.jsonl", content=content, group_field="domain")
  assert "g.jsonl, row 0" in message and "'domain'" in message


def test_invalid_utf8_in_text(tmp_path):
  message = _error(tmp_path / "a.txt", content=b"good\n\nb\xe4d\n")
  assert "a.txt, row 1 (line 3)" in message and "invalid UTF-8" in message


def test_bad_parquet(tmp_path):
  path = tmp_path / "p.parquet"
  pyarrow.parquet.write_table(pa.table({"body": ["a"]}), path)
  assert "no column 'text'; it has 'body'" in _error(path)
  pyarrow.parquet.write_table(pa.table({"text": ["a", None]}), path)
  assert "p.parquet, row 1" in _error(path)
  assert "damaged Parquet" in _error(path, content=b"PAR1 no PAR1")
  raw = pa.array([b"good", b"b\xff"], pa.binary())
  bad = pa.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
  pyarrow.parquet.write_table(pa.table({"text": bad}), path)
  assert "p.parquet, row 1" in _error(path)


def test_unknown_shard_and_unit(tmp_path):
  (tmp_path / "a.txt").write_text("x")
  with pytest.raises(corpora.CorpusError, match="no shard 'b.txt'"):
    list(_files(tmp_path / "a.txt").read("b.txt"))
  with pytest.raises(ValueError, match="word"):
    _read(_files(tmp_path / "a.txt", text_unit="word"))


def test_is_a_corpus(tmp_path):
  (tmp_path / "a.txt").write_text("x")
  assert isinstance(_files(tmp_path / "a.txt"), corpora.Corpus)


def test_shared_documents(shared, tmp_path):
  corpus = _files(shared / "data/pretrain/*.jsonl.gz")
  index = corpus_index.build(corpus, tmp_path)
  assert len(index.shards) == 7 and index.records > 12_000
