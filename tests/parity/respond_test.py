# SPDX-License-Identifier: Apache-2.0
"""The verbs `respond` and `grade`, from files to figures."""

import functools
import json
import shutil

import jax
import numpy as np
import pytest

from data_efficient import main
from data_efficient.cli import response_parts
from data_efficient.models import (
  decoder_configs,
  networks,
  tokenizer_files,
)
from data_efficient.scorers import answers, judges
from tests import decoders

TEST = [
  {"instruction": "Add 2 and 2.", "output": "4", "task": "sums"},
  {"instruction": "Name a colour.", "input": "not red", "output": "blue"},
  {"instruction": "Say nothing.", "output": " ", "task": "sums"},
  {"instruction": "Add 9 and 1.", "output": "10", "task": "sums"},
  {"instruction": "Write " + "on and " * 40, "output": "on"},
]
POOL = [
  {"instruction": "add 2 AND 2", "output": "four"},  # a copy of the first
  {"instruction": "Name a colour.", "output": "red"},
  {"instruction": "Add 9 and 2.", "output": "11"},
  {"instruction": "Name a fish.", "output": "carp"},
]
# A letter is a token.
_TEMPLATE = "gin/scorers/templates/bare.gin"
_WINDOW = {"MAX_TOKENS": 96, "ANSWER_TOKENS": 8, "BATCH_TOKENS": 384}


def _lines(path, rows):
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  directory = tmp_path_factory.mktemp("respond")
  _lines(directory / "test.jsonl", TEST)
  _lines(directory / "pool.jsonl", POOL)
  decoders.save(directory / "model")
  decoders.save(directory / "other", seed=1)
  return directory


def _respond(files, output, *gin_files, **bindings) -> int:
  bindings = {
    **{"CHECKPOINT": f"{files}/model", "TEST": f"{files}/test.jsonl"},
    **{"OUTPUT": str(output), **_WINDOW},
    "respond.respond.part_records": 2,
    # One shape to compile.
    "responding.Responder.length_step": 96,
  } | bindings
  return main.main(
    [
      "respond",
      "--gin_file=gin/runs/respond.gin",
      f"--gin_file={_TEMPLATE}",
      *(f"--gin_file={name}" for name in gin_files),
      *(f"--gin.{name}={value!r}" for name, value in bindings.items()),
    ]
  )


@pytest.fixture(scope="module")
def responses(files):
  """Responses that nobody stops."""
  assert _respond(files, files / "responses") == 0
  return files / "responses"


def _rows(directory):
  text = (directory / "responses.jsonl").read_text()
  return [json.loads(line) for line in text.split("\n") if line]


def _bytes(directory):
  """What is there, but for how long it took, and which code made it."""
  found = {
    str(path.relative_to(directory)): path.read_bytes()
    for path in sorted(directory.rglob("*"))
    if path.is_file() and path.name not in ("cost.json", ".lock", "config.gin")
  }
  table = json.loads(found.pop("responses.json"))
  return found, {name: table[name] for name in table if name != "commit"}


def test_responses_and_figures(responses, files, capsys):
  rows = _rows(responses)
  assert [row["status"] for row in rows] == [
    *("scored", "scored", "unscorable(empty response)", "scored"),
    "unscorable(too long)",
  ]
  assert [row["task"] for row in rows] == [
    *("sums", "test", "sums", "sums", "test")
  ]
  assert rows[1]["prompt"] == "Name a colour.\n\nnot red"
  assert rows[2]["response"] is None and rows[0]["examples"] == []
  table = json.loads((responses / "responses.json").read_text())
  assert table["records"] == 5 and table["overall"]["records"] == 3
  assert table["unscorable"] == {
    **{"unscorable(empty response)": 1, "unscorable(too long)": 1}
  }
  own = [rows[n] for n in (0, 1, 3)]
  loss = sum(r["nats"] for r in own) / sum(r["reference_tokens"] for r in own)
  assert table["overall"]["loss"]["value"] == pytest.approx(loss)
  assert set(table["tasks"]) == {"sums", "test"}
  assert table["tasks"]["sums"]["records"] == 2
  assert json.loads((responses / "cost.json").read_text())["seconds"] > 0
  before = _bytes(responses)
  capsys.readouterr()
  assert _respond(files, responses) == 0
  assert "done before" in capsys.readouterr().out
  assert _bytes(responses) == before


def _model(files):
  network = decoder_configs.read_config(files / "model", dtype="float32")
  model = judges.load(
    network=network, checkpoint=str(files / "model"), kind="model"
  )
  return model, tokenizer_files.read(str(files / "model"))


@functools.partial(jax.jit, static_argnames="network")
def _logits(parameters, tokens, network):
  batch = {"decoder_input_tokens": tokens, "decoder_target_tokens": tokens}
  return networks.logits(network, parameters, batch, dropout=None)


def _nats(model, ids):
  """Log-probabilities after each of some tokens."""
  tokens = np.full((1, 96), -1, np.int32)
  tokens[0, : len(ids)] = ids
  found = _logits(model.parameters, tokens, model.network)
  return np.asarray(jax.nn.log_softmax(found))[0, : len(ids)]


def _checked(files, row, examples):
  """A response and its loss, with a whole pass for every token."""
  model, tokenizer = _model(files)
  shown = "\n\n".join(f"{e['instruction']}\n{e['output']}" for e in examples)
  text = f"{shown}\n\n{row['prompt']}\n" if examples else f"{row['prompt']}\n"
  prompt = [*tokenizer.begin_ids, *tokenizer.encode(text)]
  assert row["prompt_tokens"] == len(prompt)
  ids = list(prompt)
  while (
    len(ids) < len(prompt) + 8 and tokenizer.eos_id not in ids[len(prompt) :]
  ):
    ids.append(int(np.argmax(_nats(model, ids)[-1])))
  assert row["response"] == tokenizer.decode(ids[len(prompt) :])
  answer = [*tokenizer.encode(row["reference"]), tokenizer.eos_id]
  nats = _nats(model, [*prompt, *answer])
  expected = -sum(nats[len(prompt) - 1 + n, i] for n, i in enumerate(answer))
  assert row["nats"] == pytest.approx(float(expected), rel=1e-4)
  assert row["reference_tokens"] == len(answer)


def test_a_response_is_what_the_model_says(responses, files):
  rows = _rows(responses)
  assert len({row["response"] for row in rows}) > 2
  _checked(files, rows[3], [])


@pytest.fixture(scope="module")
def in_context(files):
  """With examples, found without a network."""
  assert _respond(files, files / "in_context", *_CONTEXT, **_shown(files)) == 0
  return files / "in_context"


_CONTEXT = (
  "gin/scorers/latent_semantic.gin",
  "gin/runs/respond_in_context.gin",
)


def _shown(files):
  return {
    "EXAMPLES": f"{files}/pool.jsonl",
    "SHOWN": 2,
    "latent_semantic.LatentSemantic.dimensions": 2,
    "METRICS": ("exact", "loss", "similarity"),
  }


def test_the_nearest_examples_stand_before_a_query(in_context, files):
  rows = _rows(in_context)
  table = json.loads((in_context / "responses.json").read_text())
  found = [[example["row"] for example in row["examples"]] for row in rows]
  # Its copy, in other case and punctuation, is not shown to the first.
  assert len(found[0]) == 2 and 0 not in found[0]
  assert 0 in found[3] and len(found[3]) == 2
  assert table["in_context"]["examples"] == pytest.approx(
    np.mean([len(found[n]) for n in (0, 1, 3)])
  )
  # The nearest stands last.
  _checked(files, rows[3], [POOL[number] for number in found[3][::-1]])
  assert -1 <= table["overall"]["similarity"]["value"] <= 1
  cosines = [example["cosine"] for example in rows[3]["examples"]]
  assert cosines == sorted(cosines, reverse=True)


def test_a_run_that_is_stopped_goes_on(responses, files, tmp_path, monkeypatch):
  write = response_parts.write

  def stopped(writer, number, *others):
    if number == 1:
      raise KeyboardInterrupt
    write(writer, number, *others)

  monkeypatch.setattr(response_parts, "write", stopped)
  assert _respond(files, tmp_path / "r") == 130
  done = [path.name for path in (tmp_path / "r" / "parts").glob("*.parquet")]
  assert done == ["00000.parquet"]
  monkeypatch.undo()
  asked = []
  answered = response_parts.Asking.answers

  def noted(self, records, *others):
    asked.append(len(records))
    return answered(self, records, *others)

  monkeypatch.setattr(response_parts.Asking, "answers", noted)
  assert _respond(files, tmp_path / "r") == 0
  assert asked == [2, 1]
  assert _bytes(tmp_path / "r") == _bytes(responses)


@pytest.mark.parametrize(
  ("bindings", "said"),
  [
    ({"ANSWER_TOKENS": 9}, "ANSWER_TOKENS = 8"),
    ({"METRICS": ("exact", "similarity")}, "gin file of one behind this one"),
    ({"METRICS": ("bleu",)}, "expected some of rouge1"),
    ({"ANSWER_TOKENS": 96}, "fewer than max_tokens"),
  ],
)
def test_what_is_refused(responses, files, capsys, bindings, said):
  assert _respond(files, responses, **bindings) == 2
  assert said in capsys.readouterr().err


def test_another_model_at_the_same_place(files, tmp_path, capsys):
  shutil.copytree(files / "model", tmp_path / "model")
  checkpoint = {"CHECKPOINT": f"{tmp_path}/model"}
  assert _respond(files, tmp_path / "r", **checkpoint) == 0
  shutil.rmtree(tmp_path / "model")
  shutil.copytree(files / "other", tmp_path / "model")
  capsys.readouterr()
  assert _respond(files, tmp_path / "r", **checkpoint) == 2
  assert "responder.model.parameters" in capsys.readouterr().err


def test_nothing_that_can_be_answered(files, tmp_path, capsys):
  _lines(tmp_path / "test.jsonl", [TEST[2], TEST[4]])
  assert _respond(files, tmp_path / "r", TEST=f"{tmp_path}/test.jsonl") == 2
  said = capsys.readouterr().err
  assert "raise MAX_TOKENS" in said and "empty response" in said


def _grade(files, output, runs, **bindings) -> int:
  bindings = {
    **{"RUNS": [str(run) for run in runs], "OUTPUT": str(output)},
    **{"JUDGE_CHECKPOINT": f"{files}/model", "MAX_TOKENS": 1536},
    **{"BATCH_TOKENS": 6144, "grading.Grader.part_records": 2},
  } | bindings
  return main.main(
    ["grade", *(f"--gin.{name}={value!r}" for name, value in bindings.items())]
  )


def _fair(monkeypatch, calls):
  """A judge that goes by the text, in place of a random one."""

  def said(parameters, tokens, *, network, answers):
    calls.append(len(tokens))
    sums = np.where(tokens >= 0, tokens, 0).sum(axis=1) % 7 + 1.0
    found = np.arange(1, len(answers) + 1) ** (sums[:, None] / 4)
    shares = 0.9 * found / found.sum(axis=1, keepdims=True)
    return np.log(shares), np.full(len(tokens), answers[0][0])

  monkeypatch.setattr(answers, "beside_the_first", said)


def test_grades_and_comparisons(
  responses, in_context, files, tmp_path, monkeypatch, capsys
):
  runs, calls = [responses, in_context], []
  _fair(monkeypatch, calls)
  assert _grade(files, tmp_path / "g", runs, BASELINE=str(responses)) == 0
  table = json.loads((tmp_path / "g" / "grades.json").read_text())
  assert set(table["runs"]) == {"responses", "in_context"}
  for row in table["runs"].values():
    assert row["scored"] == 3 and row["unscorable"] == {}
    assert 1 <= row["overall"]["grade"]["value"] <= 5
    assert row["tasks"]["sums"]["records"] == 2
  pair = table["pairs"]["in_context_against_responses"]["overall"]
  assert pair["wins"] + pair["ties"] + pair["losses"] == pair["records"] == 3
  share = (pair["wins"] + pair["ties"] / 2) / 3
  assert pair["win_share"]["value"] == pytest.approx(share)
  capsys.readouterr(), calls.clear()
  assert _grade(files, tmp_path / "g", runs, BASELINE=str(responses)) == 0
  assert "done before" in capsys.readouterr().out and not calls
  assert _grade(files, tmp_path / "g", runs) == 2
  assert "another configuration" in capsys.readouterr().err


def test_a_judge_outside_its_scale(responses, files, tmp_path, capsys):
  assert _grade(files, tmp_path / "g", [responses]) == 2
  said = capsys.readouterr().err
  assert "outside its scale for 2 of 2" in said and "gin/models/chat" in said


def test_runs_that_cannot_be_compared(
  responses, files, tmp_path, monkeypatch, capsys
):
  _fair(monkeypatch, [])
  shutil.copytree(responses, tmp_path / "fewer")
  rows = _rows(responses)[:2]
  _lines(tmp_path / "fewer" / "responses.jsonl", rows)
  for runs, baseline, said in (
    ([responses, tmp_path / "fewer"], responses, "different tests (2 and 3"),
    ([responses], responses, "expected one of RUNS"),
    ([files], None, "no finished responses there"),
    ([responses, responses], None, "different names"),
  ):
    baseline = baseline and str(baseline)
    assert _grade(files, tmp_path / "g", runs, BASELINE=baseline) == 2
    assert said in capsys.readouterr().err
