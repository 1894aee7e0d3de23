# SPDX-License-Identifier: Apache-2.0
"""Splits: by group, each record once, no evaluation text in the pool."""

import contextlib
import dataclasses
import random

import pytest

from data_efficient import progress
from data_efficient.data import (
  artifacts,
  corpora,
  corpus_index,
  overlap,
  splits,
)
from tests.data import fakes

POLICY = splits.Policy(
  evaluation_share=0.3,
  reference_share=0.3,
  pool_share_of_reference=0.5,
  hq_records=15,
  in_distribution_records=20,
  reference_records=30,
  seed=0,
  reference_sources=("numpy/docstring",),
  hq_sources=("pydoc_topics/*",),
  usual_sources=("*wikipedia*",),
)
# No source is known to be edited; with a separate corpus none must be.
PLAIN = dataclasses.replace(POLICY, reference_sources=(), hq_sources=())


def _text(generator, words=40):
  return " ".join(
    f"{generator.choice('abcdefgh')}{generator.randrange(5000)}"
    for _ in range(words)
  )


def _shards(seed=0, modules=60):
  generator = random.Random(seed)
  rows = []
  for module in range(modules):
    for _ in range(3):
      rows.append((_text(generator), "numpy/docstring", f"numpy.m{module}"))
      rows.append((_text(generator), "numpy/source", f"numpy.m{module}"))
    rows.append((_text(generator), "noisy/source", f"noisy.m{module}"))
  topics = [(_text(generator), "pydoc_topics/topic", f"t{i}") for i in range(4)]
  return {"numpy": rows, "pydoc_topics": topics}


def _assign(tmp_path, shards, policy=POLICY, **others):
  """`others`: edited, in_distribution; shards of separate corpora."""

  def source(name, shards):
    corpus = fakes.Memory(shards, name=name)
    index = corpus_index.build(corpus, tmp_path / f"{name}_index")
    return splits.Source(corpus, index)

  separate = {name: source(name, shards) for name, shards in others.items()}
  sources = splits.Sources(source("memory", shards), **separate)
  return splits.assign(sources, policy, tmp_path / "splits")


def _keys(split):
  return [(shard, record.position) for shard, record in split.read()]


def test_each_record_once_and_groups_whole(tmp_path):
  shards = _shards()
  found = _assign(tmp_path, shards)
  keys = [key for split in found for key in _keys(split)]
  assert len(keys) == len(set(keys))
  total = sum(len(rows) for rows in shards.values())
  assert len(keys) + sum(found.summary["excluded"].values()) == total
  groups = [{record.group for _, record in split.read()} for split in found]
  for i, first in enumerate(groups):
    for second in groups[i + 1 :]:
      assert not first & second
  assert found.summary["records"] == {
    name: split.selection.records
    for name, split in zip(splits.NAMES, found, strict=True)
  }


def test_sets_hold_what_they_should(tmp_path):
  found = _assign(tmp_path, _shards())
  sources = [{record.source for _, record in split.read()} for split in found]
  assert sources[0] >= {"numpy/source", "noisy/source"}
  assert sources[1] == {"numpy/docstring"}
  assert sources[2] <= {"numpy/docstring", "pydoc_topics/topic"}
  assert sources[3] >= {"numpy/source"}
  assert 0 < found.hq.selection.records <= 15
  assert 0 < found.in_distribution.selection.records <= 20
  # Half of the pool's well-edited records are thinned out.
  whole = dataclasses.replace(POLICY, pool_share_of_reference=1.0)
  rest = _assign(tmp_path / "whole", _shards(), whole)
  edited = [
    sum(r.source == "numpy/docstring" for _, r in split.read())
    for split in (found.pool, rest.pool)
  ]
  assert 0.25 < edited[0] / edited[1] < 0.75


def test_evaluation_text_is_taken_out_of_pool_and_reference(tmp_path):
  shards = _shards()
  first = _assign(tmp_path / "x", shards)
  held = next(first.hq.texts())
  words = held.split()
  generator = random.Random(1)
  planted = {
    "the same": held,
    "cased": held.upper(),
    "inside": f"{_text(generator, 200)} {held}\n{_text(generator, 200)}",
    "most": " ".join(words[:30]) + " " + _text(generator, 8),
    "a little": " ".join(words[:12]) + " " + _text(generator, 60),
  }
  # Put where pool records are, so that only the overlap can exclude them.
  places = [
    position
    for (shard, position) in _keys(first.pool)
    if shard == "numpy" and shards[shard][position][1] == "noisy/source"
  ]
  rows = list(shards["numpy"])
  for place, text in zip(places, planted.values(), strict=False):
    rows[place] = (text, *rows[place][1:])
  second = _assign(tmp_path / "y", {**shards, "numpy": rows})
  kept = {position for shard, position in _keys(second.pool)}
  left = [
    name for name, place in zip(planted, places, strict=False) if place in kept
  ]
  assert left == ["a little"]
  excluded = second.summary["excluded"]
  assert excluded["pool: same text as an evaluation record"] == 1
  assert excluded["pool: half in common with evaluation text"] == 3


def test_evaluation_sets_have_no_repeats(tmp_path):
  shards = _shards()
  topics = shards["pydoc_topics"]
  shards["pydoc_topics"] = [topics[0]] * 3 + topics[1:]
  policy = dataclasses.replace(POLICY, hq_records=10_000)
  found = _assign(tmp_path, shards, policy)
  texts = list(found.hq.texts())
  assert len(texts) == len(set(texts))
  assert found.summary["excluded"]["repeated in hq"] == 2


def test_done_once(tmp_path):
  shards = _shards()
  first = _assign(tmp_path, shards)
  corpus = fakes.Memory(shards)

  def read(shard, start=0):
    raise AssertionError("read again")

  corpus.read = read
  index = corpus_index.open_index(tmp_path / "memory_index")
  sources = splits.Sources(splits.Source(corpus, index))
  second = splits.assign(sources, POLICY, tmp_path / "splits")
  assert second.summary == first.summary
  other = dataclasses.replace(POLICY, seed=1)
  with pytest.raises(artifacts.ArtifactError, match="policy.seed"):
    splits.assign(sources, other, tmp_path / "splits")


def test_resumes_after_half_of_the_sets(tmp_path):
  first = _assign(tmp_path, _shards())
  (tmp_path / "splits" / "hq" / "manifest.json").unlink()
  second = _assign(tmp_path, _shards())
  assert _keys(first.hq) == _keys(second.hq)


def _texts(seed, count):
  generator = random.Random(seed)
  return [_text(generator) for _ in range(count)]


def test_separate_edited_corpus(tmp_path):
  web, books = {"web": _texts(3, 200)}, {"books": _texts(4, 50)}
  web["web"][7] = books["books"][3]
  found = _assign(tmp_path, web, PLAIN, edited=books)
  assert found.hq.corpus.name == found.reference.corpus.name == "edited"
  assert found.pool.corpus.name == "memory"
  assert found.hq.selection.identity["corpus"]["name"] == "edited"
  books_kept = found.hq.selection.records + found.reference.selection.records
  assert 25 < books_kept <= 45
  assert not set(found.hq.texts()) & set(found.pool.texts())


def test_separate_in_distribution_corpus(tmp_path):
  shards = _shards()
  own = {"own": [*_texts(5, 10), "again and again", "again and again"]}
  first = _assign(tmp_path / "x", shards)
  repeated = next(first.reference.texts())
  held = {"own": [*own["own"], shards["numpy"][1][0].upper(), repeated]}
  found = _assign(tmp_path / "y", shards, in_distribution=held)
  assert found.in_distribution.corpus.name == "in_distribution"
  assert found.hq.corpus.name == found.reference.corpus.name == "memory"
  texts = list(found.in_distribution.texts())
  assert sorted(texts) == sorted(set(held["own"]))
  # What was in-distribution before is in the pool now; nothing else moved.
  assert _keys(found.hq) == _keys(first.hq)
  moved = set(_keys(found.pool)) - set(_keys(first.pool))
  assert set(_keys(first.in_distribution)) - moved <= {("numpy", 1)}
  assert len(set(_keys(first.pool)) - set(_keys(found.pool))) <= 1
  left = [*found.pool.texts(), *found.reference.texts()]
  assert repeated not in left and shards["numpy"][1][0] not in left
  excluded = found.summary["excluded"]
  assert excluded["reference: same text as an evaluation record"] == 1
  assert excluded["repeated in in_distribution"] == 1
  smaller = dataclasses.replace(POLICY, in_distribution_records=5)
  cut = _assign(tmp_path / "z", shards, smaller, in_distribution=held)
  assert cut.in_distribution.selection.records == 5
  assert set(cut.in_distribution.texts()) < set(texts)


def test_both_separate_corpora_leave_the_whole_pool(tmp_path):
  web = {"web": _texts(6, 100)}
  books, own = {"books": _texts(7, 40)}, {"own": _texts(8, 20)}
  web["web"][3], web["web"][4] = own["own"][0], own["own"][1].upper()
  found = _assign(tmp_path, web, PLAIN, edited=books, in_distribution=own)
  assert set(range(100)) - {row for _, row in _keys(found.pool)} == {3, 4}
  assert found.in_distribution.selection.records == 20
  assert {split.corpus.name for split in found} == {
    *("memory", "edited", "in_distribution")
  }
  identity = found.pool.selection.identity
  assert identity["edited"]["records"] == 40
  assert identity["in_distribution"]["records"] == 20


def test_sources_by_pattern(tmp_path):
  policy = dataclasses.replace(
    POLICY, reference_sources="noisy/*", hq_sources=("pydoc*",)
  )
  assert policy.reference_sources == ("noisy/*",)
  found = _assign(tmp_path, _shards(), policy)
  assert {r.source for _, r in found.reference.read()} == {"noisy/source"}
  usual = dataclasses.replace(PLAIN, usual_sources=("nowhere", "numpy/doc*"))
  found = _assign(tmp_path / "usual", _shards(), usual)
  assert {r.source for _, r in found.reference.read()} == {"numpy/docstring"}


def test_nothing_matches(tmp_path):
  shards = {"a": [("x", "web", ""), ("y", "mail", "")]}
  with pytest.raises(corpora.CorpusError) as error:
    _assign(tmp_path, shards, PLAIN)
  message = str(error.value)
  assert "Sources of this corpus: mail, web" in message
  assert "*wikipedia*" in message and "REFERENCE_SOURCES" in message
  assert not (tmp_path / "splits").exists()


@pytest.mark.parametrize("field", ["reference_sources", "hq_sources"])
def test_a_pattern_that_matches_nothing(tmp_path, field):
  patterns = (*getattr(POLICY, field), "nump/*")
  policy = dataclasses.replace(POLICY, **{field: patterns})
  with pytest.raises(corpora.CorpusError) as error:
    _assign(tmp_path, _shards(), policy)
  assert str(error.value) == (
    f"{field.upper()}: the pattern 'nump/*' matches no source of 'memory'. "
    "Sources of this corpus: noisy/source, numpy/docstring, numpy/source, "
    "pydoc_topics/topic"
  )
  assert not (tmp_path / "splits").exists()


def test_patterns_beside_a_separate_edited_corpus(tmp_path):
  with pytest.raises(corpora.CorpusError, match="REFERENCE_SOURCES.*not both"):
    _assign(tmp_path, _shards(), edited={"books": _texts(1, 9)})
  assert not (tmp_path / "splits").exists()


@pytest.mark.parametrize("other", ["the pool", "HQ and reference"])
def test_a_file_with_two_roles(tmp_path, other):
  web, own = {"web": _texts(1, 50), "b": []}, {"own": _texts(2, 50), "b": []}
  edited = {"books": _texts(3, 50)}
  (web if other == "the pool" else edited)["copy"] = own["own"]
  with pytest.raises(corpora.CorpusError) as error:
    _assign(tmp_path, web, PLAIN, edited=edited, in_distribution=own)
  message = str(error.value)
  assert f"'copy' is a file of {other}" in message and "'own'" in message
  assert not (tmp_path / "splits").exists()


def test_a_pool_that_is_all_evaluation_text(tmp_path):
  own = _texts(2, 15)
  web = {"web": [text.upper() for text in reversed(own)]}
  books = {"books": _texts(3, 50)}
  with pytest.raises(corpora.CorpusError) as error:
    _assign(tmp_path, web, PLAIN, edited=books, in_distribution={"own": own})
  message = str(error.value)
  assert "no record is left for pool" in message
  assert "all that pool had repeats text of the evaluation sets" in message
  assert "'pool: half in common with evaluation text': 15" in message
  assert not (tmp_path / "splits").exists()


def test_a_set_would_be_empty(tmp_path):
  shards = {"a": [("some text", "numpy/docstring", "g")]}
  policy = dataclasses.replace(POLICY, hq_sources=())
  with pytest.raises(corpora.CorpusError, match="no record is left for") as e:
    _assign(tmp_path, shards, policy)
  assert "bring more text" in str(e.value)


def test_each_pass_has_a_bar_that_ends_at_its_total(tmp_path, monkeypatch):
  bars = {}

  @contextlib.contextmanager
  def bar(label, *, total, done=0):
    assert not any(state["open"] for state in bars.values()), "two at once"
    assert label not in bars
    bars[label] = {"total": total, "done": done, "open": True}

    def advance(units):
      bars[label]["done"] += units

    yield advance
    bars[label]["open"] = False

  monkeypatch.setattr(progress, "bar", bar)
  shards = _shards()
  _assign(tmp_path, shards, in_distribution={"own": _texts(1, 20)})
  count = sum(len(rows) for rows in shards.values())
  assert {label: state["total"] for label, state in bars.items()} == {
    "split: groups of in_distribution": 20,
    "split: groups of memory": count,
    "split: repeats in hq": count,
    "split: repeats in in_distribution": 20,
    "split: repeats in reference": count,
    "split: read hq": count,
    "split: read in_distribution": 20,
    "split: compare reference": len(shards["numpy"]),
    "split: compare pool": len(shards["numpy"]),
  }
  for state in bars.values():
    assert state["done"] == state["total"] and not state["open"]


@pytest.mark.parametrize(
  "field, value",
  [
    ("evaluation_share", 0.0),
    ("reference_share", 0.8),
    ("pool_share_of_reference", 1.5),
    ("hq_records", 0),
  ],
)
def test_bad_policy(field, value):
  with pytest.raises(corpora.CorpusError, match=field):
    dataclasses.replace(POLICY, **{field: value})


def _slow_overlap(text, others):
  def grams(value):
    words = "".join(c if c.isalnum() else " " for c in value.lower()).split()
    width = min(8, len(words))
    starts = range(len(words) - width + 1) if width else ()
    return {tuple(words[i : i + width]) for i in starts}

  mine, theirs = grams(text), [grams(other) for other in others]
  if not mine:
    return 0.0
  shared = len(mine & set().union(*theirs)) / len(mine)
  return max(shared, *(len(g & mine) / max(len(g), 1) for g in theirs))


@pytest.mark.parametrize("seed", range(5))
def test_overlap_against_sets(seed):
  generator = random.Random(seed)
  others = [_text(generator, generator.randrange(1, 40)) for _ in range(5)]
  others.append("...")
  grams = overlap.Grams(others)
  for other in others:
    words = other.split()
    cut = words[: generator.randrange(len(words) + 1)]
    text = " ".join([_text(generator, 9), *cut, _text(generator, 5)])
    for candidate in (text, " ".join(cut), other.upper()):
      expected = _slow_overlap(candidate, others)
      assert grams.overlap(candidate) == pytest.approx(expected)
  assert grams.overlap("") == 0.0
  assert overlap.Grams([]).overlap("a b") == 0.0
