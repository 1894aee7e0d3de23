# SPDX-License-Identifier: Apache-2.0
"""Suites on real files, through a network trained here; against slow twins.

Really asked: MMLU (57 subjects), BBH (those of its tasks that the file has),
GSM8K, a part of SQuAD, multiple choice. The twins build each prompt by hand,
run one question and one choice at a time, and decode without a cache.
"""

import dataclasses
import functools
import gzip
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient import gin_config
from data_efficient.cli import suite
from data_efficient.data import downstream_tasks, few_shot, vocabularies
from data_efficient.data.few_shot import Split
from data_efficient.models import checkpoints, networks, tokenizers
from data_efficient.training import inference, local, optimizers
from tests import networks as small
from tests.suites import declared
from tests.training import fakes

LENGTHS = {"inputs": 768, "targets": 24}
ENGINE = local.Local(model_parallel=1, microbatches=1, log_period=100)
FILES = {
  "MMLU": "mmlu_dev_val.jsonl.gz",
  "BBH": "bbh.jsonl.gz",
  "GSM8K": "gsm8k_train.jsonl.gz",
  "SQUAD": "squad_xquad_en.jsonl.gz",
  "CHOICE": "target_mcq.jsonl.gz",
}
QUESTIONS = 2
LIKELIHOOD = ("MMLU", "multiple choice")
GENERATION = ("BBH", "GSM8K", "SQuAD")


@pytest.fixture(scope="module")
def files(shared):
  return {name: str(shared / "data/instruct" / f) for name, f in FILES.items()}


@pytest.fixture(scope="module")
def vocabulary(files, tmp_path_factory):
  texts = []
  for path in files.values():
    with gzip.open(path, "rt", encoding="utf-8") as file:
      rows = [json.loads(line) for line in file]
    texts += [f"{r['instruction']}\n{r['input']}\n{r['output']}" for r in rows]
  path = tmp_path_factory.mktemp("vocabulary") / "v.model"
  vocabularies.train(texts[::5], path, pieces=2000)
  return tokenizers.SentencePiece(str(path))


@pytest.fixture(scope="module")
def suites(files, vocabulary):
  """As gin/runs/suite.gin declares them, two questions a task and split."""
  found = declared.suites(
    "gin/runs/suite.gin", vocabulary, f"QUESTIONS={QUESTIONS}", **files
  )
  gin_config.parse([])
  return {each.name: each for each in found}


@pytest.fixture(scope="module")
def trained(suites, vocabulary, tmp_path_factory):
  """A run on exemplars and on what chooses, never on what is reported."""
  prompts = []
  for each in suites.values():
    for by_split in each.tasks().values():
      taught = by_split[Split.EXEMPLARS][:8] + by_split[Split.VALIDATION][:8]
      prompts += [
        few_shot.prompt(q, [], encode=vocabulary.encode, window=128)
        for q in taught
      ]
  root = tmp_path_factory.mktemp("trained")
  run = fakes.run(
    str(root / "run"),
    network=small.t5(
      vocab_size=2176, emb_dim=32, mlp_dim=64, embedding_init_stddev=0.1
    ),
    task=downstream_tasks.register(
      prompts, vocabulary=vocabulary, choices=False
    ),
    evaluation_tasks={},
    task_feature_lengths={"inputs": 128, "targets": LENGTHS["targets"]},
    batch_size=16,
    steps=150,
    schedule=optimizers.constant(learning_rate=0.02),
    checkpoint_period=1000,
  )
  ENGINE.train(run)
  once = dataclasses.replace(run, directory=str(root / "raw"), steps=1)
  ENGINE.train(once)
  return run, once.directory


@pytest.fixture(scope="module")
def found(suites, vocabulary, trained, tmp_path_factory):
  """(suites.json, directory) of the verb, with two checkpoints to choose."""
  run, raw = trained
  root = tmp_path_factory.mktemp("found")
  suite.suite(
    **{"directory": str(root), "suites": list(suites.values())},
    **{"checkpoints": [raw, run.directory], "network": run.network},
    **{"vocabulary": vocabulary, "engine": ENGINE, "batch_size": 16},
    **{"task_feature_lengths": LENGTHS, "resamples": 100, "seed": 0},
    **{"chosen_on": "validation", "reported_on": "test"},
  )
  return json.loads((root / suite.FILE).read_text()), root


@pytest.fixture(scope="module")
def twin(trained):
  """One row at a time: inputs, known targets -> log-probabilities [t, v]."""
  run, _ = trained
  parameters = checkpoints.load_parameters(run.directory, config=run.network)
  call = jax.jit(functools.partial(networks.logits, run.network, dropout=None))

  def forward(ids, known):
    source = np.zeros((1, LENGTHS["inputs"]), np.int32)
    source[0, : len(ids)] = ids
    target = np.zeros((1, LENGTHS["targets"] + 1), np.int32)
    target[0, 1 : 1 + len(known)] = known
    batch = {
      "encoder_input_tokens": source,
      "decoder_input_tokens": target[:, :-1],
      "decoder_target_tokens": np.ones_like(target[:, 1:]),
    }
    logits = call(parameters, batch)[0]
    return np.asarray(jax.nn.log_softmax(jnp.asarray(logits, jnp.float32)))

  return forward


def _ids(vocabulary, shown, question):
  return vocabulary.encode("\n\n".join([*shown, question.text]))


def _by_hand(suites, name, vocabulary):
  """[(task, question, ids or None, whether shortened)] of the test split."""
  each, rows = suites[name], []
  for task, by_split in each.tasks().items():
    shown = [
      f"{q.text} {q.shown}" for q in by_split[Split.EXEMPLARS][: each.shots]
    ]
    for question in by_split[Split.TEST][:QUESTIONS]:
      fitting = [
        (len(shown) - dropped, ids)
        for dropped in range(len(shown) + 1)
        if len(ids := _ids(vocabulary, shown[dropped:], question))
        <= LENGTHS["inputs"]
      ]
      left, ids = fitting[0] if fitting else (0, None)
      rows.append((task, question, ids, left < len(shown)))
  return rows


def _kept(root, name):
  """Rows of the inferences of a suite on the test split."""
  start = re.sub(r"[^\w.-]+", "_", f"{name}_test_")
  [path] = (root / "asked").glob(f"{start}*/{inference.FILE}")
  return inference.read(str(path.parent))


def _accuracies(found, name, metric):
  tasks = found["results"]["tasks"][name]
  return {task: row[metric]["value"] for task, row in tasks.items()}


def _means(values):
  return {task: float(np.mean(each)) for task, each in values.items()}


@pytest.mark.parametrize("name", LIKELIHOOD)
def test_choices_are_those_of_plain_forward_passes(
  name, found, suites, vocabulary, twin
):
  report, root = found
  scored = {(r["question"], r["choice"]): r["score"] for r in _kept(root, name)}
  right, count = {}, 0
  for number, (task, question, ids, _) in enumerate(
    _by_hand(suites, name, vocabulary)
  ):
    values = right.setdefault(task, [])
    if ids is None:
      values.append(0.0)
      continue
    scores = []
    for choice, answer in enumerate(question.choices):
      known = [*vocabulary.encode(answer), vocabulary.eos_id]
      logs = twin(ids, known)
      scores.append(sum(logs[k, token] for k, token in enumerate(known)))
      assert scored[number, choice] == pytest.approx(scores[-1], abs=1e-3)
      count += 1
    best = question.choices[int(np.argmax(scores))]
    values.append(float(best == question.answer))
  assert count == len(scored)
  assert _accuracies(report, name, "accuracy") == _means(right)


def _greedy(twin, ids, eos):
  known = []
  while len(known) < LENGTHS["targets"] and eos not in known:
    known.append(int(np.argmax(twin(ids, known)[len(known)])))
  return known


def _matches(name, prediction, answer):
  """The first metric of each suite, said in another way."""
  if name == "BBH":
    bare = [re.sub(r"^[\s().]+|[\s().]+$", "", t) for t in (prediction, answer)]
    return bare[0].lower() == bare[1].lower()
  if name == "GSM8K":
    wanted = answer.split("#### ")[1].replace(",", "")
    numbers = re.findall(r"-?\d[\d,]*\.?\d*", prediction.split("####")[-1])
    chosen = numbers[0 if "####" in prediction else -1] if numbers else "nan"
    return float(chosen.replace(",", "")) == float(wanted)
  words = [
    re.sub(r"\b(a|an|the)\b", " ", re.sub(r"[^\w\s]|_", "", t.lower())).split()
    for t in (prediction, answer)
  ]
  return words[0] == words[1]


@pytest.mark.parametrize("name", GENERATION)
def test_answers_are_decoded_greedily(name, found, suites, vocabulary, twin):
  report, root = found
  kept = {row["question"]: row for row in _kept(root, name)}
  right, cut, eos = {}, {}, vocabulary.eos_id
  for number, (task, question, ids, _) in enumerate(
    _by_hand(suites, name, vocabulary)
  ):
    values = right.setdefault(task, [])
    cut.setdefault(task, 0)
    if ids is None:
      values.append(0.0)
      continue
    known = _greedy(twin, ids, eos)
    assert kept[number]["prediction_tokens"] == known
    cut[task] += eos not in known
    prediction = kept[number]["prediction"]
    values.append(float(_matches(name, prediction, question.answer)))
  metric = suites[name].metrics[0]
  assert _accuracies(report, name, metric) == _means(right)
  tasks = report["results"]["tasks"][name]
  assert {task: row["cut"] for task, row in tasks.items()} == cut


def test_every_task_of_the_files_is_asked(found, suites, vocabulary):
  report, _ = found
  tasks = report["results"]["tasks"]
  counts = {name: len(rows) for name, rows in tasks.items()}
  assert counts == {
    **{"MMLU": 57, "BBH": 10, "GSM8K": 1, "SQuAD": 1, "multiple choice": 4}
  }
  assert report["questions"]["MMLU"]["missing"] == []
  # The file has ten of the 27; those that are not there are named.
  assert len(report["questions"]["BBH"]["missing"]) == 17
  assert report["results"]["missing"] == []
  assert report["chosen_by"] == "average"
  for name in suites:
    for task, rows in _grouped(_by_hand(suites, name, vocabulary)).items():
      row = tasks[name][task]
      assert row["questions"] == len(rows) == QUESTIONS
      assert row["truncated"] == sum(shortened for *_, shortened in rows)
      assert row["too_long"] == sum(ids is None for _, _, ids, _ in rows)
  assert sum(row["truncated"] for row in tasks["MMLU"].values()) > 0


def _grouped(rows):
  found = {}
  for row in rows:
    found.setdefault(row[0], []).append(row)
  return found


def test_the_trained_network_is_chosen(found, trained):
  report, _ = found
  run, raw = trained
  assert report["checkpoint"] == run.directory
  on = {name: row["value"] for name, row in report["validation"].items()}
  assert on[run.directory] > on[raw]
