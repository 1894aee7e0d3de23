# SPDX-License-Identifier: Apache-2.0
"""The verb `audit` on a judge of letters: whole, resumed, and refused."""

import json

import pytest

from data_efficient.cli import audit
from data_efficient.data import hostile, hostile_payloads
from tests.scorers import asked

VARIANTS = [
  audit.Variant(name="none", steps=(), windows="head"),
  audit.Variant(
    name="default",
    steps=("unicode", "markers", "copies", "orders"),
    windows="head",
  ),
]


def _write(path, rows):
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return str(path)


@pytest.fixture(scope="module")
def scorer():
  return asked.scorer(
    asked.judge(),
    asked.question(max_input_tokens=64),
    length_step=64,
    batch_tokens=64 * 64,
  )


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
  root = tmp_path_factory.mktemp("texts")
  long = [f"This is document {n}. " * 8 for n in range(5)]
  labelled = [{"text": f"text {n}", "label": n % 2} for n in range(12)]
  return {
    "documents": _write(root / "a.jsonl", [{"text": t} for t in long]),
    "labelled": {"quality": _write(root / "b.jsonl", labelled)},
  }


def _audit(scorer, texts, output, **changes):
  settings = {
    "count": 2,
    "text_count": 10,
    "variants": VARIANTS,
    "resamples": 20,
    "seed": 0,
    "output": str(output),
  }
  with pytest.MonkeyPatch.context() as patch:
    # Two of them, quick ones: broken_text_test.py has all.
    patch.setattr(hostile, "broken", lambda: {"empty": "", "nul": "a\0"})
    audit.audit(scorer=scorer, **texts, **settings | changes)
  return json.loads((output / "audit.json").read_text())


@pytest.fixture(scope="module")
def audited(scorer, texts, tmp_path_factory):
  output = tmp_path_factory.mktemp("audit") / "out"
  return output, _audit(scorer, texts, output)


def test_all_attacks_are_measured_under_all_variants(audited):
  _, found = audited
  payloads = hostile_payloads.payloads(asked.PROMPT)
  assert list(found["payloads"]) == list(payloads)
  for facts in found["variants"].values():
    assert facts["all"]["n"] <= 2 * len(hostile.attacks(asked.PROMPT))
    assert set(facts["places"]) == set(hostile.Place)
    assert facts["auc"]["quality"]["n"] == 10
  bare, default = found["variants"].values()
  assert bare["documents_changed"] == bare["auc"]["quality"]["change"] == 0
  # What the defence takes out moves nothing any more.
  assert found["payloads"]["hidden_tags"]["none"][1] != 0
  assert found["payloads"]["hidden_tags"]["default"] == [6, 0, [0, 0], 0]
  assert found["payloads"]["order_english"]["default"][:3] == [6, 0, [0, 0]]
  assert default["documents_changed"] == 0
  assert default["auc_changes_at_most"] == {"quality": 0}


def test_a_variant_is_the_unit_of_resume(
  audited, scorer, texts, tmp_path, monkeypatch
):
  class Stopped(Exception):
    pass

  measured = audit._measured

  def stopping(variant, *others):
    if variant.name == "default":
      raise Stopped
    return measured(variant, *others)

  with monkeypatch.context() as patch, pytest.raises(Stopped):
    patch.setattr(audit, "_measured", stopping)
    _audit(scorer, texts, tmp_path)
  kept = (tmp_path / "none.json").read_bytes()
  found = _audit(scorer, texts, tmp_path)
  assert (tmp_path / "none.json").read_bytes() == kept
  for name in ("none", "default"):
    for key in ("all", "auc", "auc_changes_at_most"):
      assert found["variants"][name][key] == (audited[1]["variants"][name][key])
  assert found["payloads"] == audited[1]["payloads"]


def test_what_is_done_is_not_done_again(audited, scorer, texts, capsys):
  output, found = audited
  before = (output / "audit.json").stat().st_mtime_ns
  assert _audit(scorer, texts, output) == found
  assert (output / "audit.json").stat().st_mtime_ns == before
  shown = capsys.readouterr().out
  assert "done before" in shown and "hidden_homoglyphs" in shown


def test_another_audit_is_refused(audited, scorer, texts):
  with pytest.raises(ValueError, match="seed"):
    _audit(scorer, texts, audited[0], seed=1)


def test_mistakes_are_named(scorer, texts, tmp_path):
  with pytest.raises(ValueError, match="the first one must have no steps"):
    _audit(scorer, texts, tmp_path, variants=VARIANTS[::-1])
  short = _write(tmp_path / "short.jsonl", [{"text": "short"}])
  with pytest.raises(ValueError, match="no document of 100 characters"):
    _audit(scorer, texts | {"documents": short}, tmp_path)
  one = _write(tmp_path / "one.jsonl", [{"text": "a", "label": 1}])
  with pytest.raises(ValueError, match="label 1"):
    _audit(scorer, texts | {"labelled": {"one": one}}, tmp_path)
