# SPDX-License-Identifier: Apache-2.0
"""Tuning on instructions in files: batches against lists, and real runs."""

import functools
import itertools
import json

import jax
import numpy as np
import pytest

from data_efficient import main
from data_efficient.data import (
  file_corpus,
  instruction_file_tasks,
  instruction_rows,
  instructions,
)
from data_efficient.models import networks as network_floor
from data_efficient.models import tokenizers
from data_efficient.scorers import templates
from data_efficient.training import batches, optimizers, step, tuning
from data_efficient.training.run import Run
from tests import networks
from tests.data import letters, served

TEMPLATE = templates.Template(
  example="[{prompt}={response}]",
  query="<{prompt}=",
  alone="",
  query_alone="{prompt}=",
  answer="{response}",
  ends=False,
)
ROWS = [
  {"instruction": "aa", "output": "ab", "task": "x"},
  {"instruction": "ba", "input": "q", "output": "a", "task": "x"},
  {"instruction": "c", "output": "", "task": "y"},
  {"instruction": "abc", "output": "aaaa", "task": "y"},
  {"instruction": "z" * 30, "output": "a", "task": "x"},
  {"instruction": "d", "output": "za", "task": "y"},
]
LENGTH = 14


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  directory = tmp_path_factory.mktemp("instructions")
  for name, rows in (("pool", ROWS), ("test", ROWS[::-1])):
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (directory / f"{name}.jsonl").write_text(lines)
  texts = ["abcdefghijklmnopqrstuvwxyz", "hello", ""]
  lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
  (directory / "text.jsonl").write_text(lines)
  return directory


def _instructions(path, **changes):
  fields = {
    "pattern": str(path),
    "prompt_field": "instruction",
    "input_field": "input",
    "response_field": "output",
    "task_field": ("category", "task"),
  }
  return instructions.Instructions(**fields | changes)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
  return served.train_vocabulary(tmp_path_factory.mktemp("vocabulary"))


def _tasks(files, **changes):
  settings = {
    "pool": _instructions(files / "pool.jsonl"),
    "watched": {"test": _instructions(files / "test.jsonl")},
    "network": networks.llama(vocab_size=letters.Letters.size),
    "template": TEMPLATE,
    "inputs": LENGTH,
    "targets": LENGTH,
    "shares": {"alone": 1.0},
    "shots": (1, 2),
    "example_tokens": 10,
    "separator": "/",
  }
  return instruction_file_tasks.InstructionFiles(**settings | changes)


def _run(tasks, vocabulary=None, **changes) -> Run:
  settings = {
    "directory": "",
    "tasks": tasks,
    "vocabulary": vocabulary or letters.Letters(),
    "network": tasks.network,
    "task_feature_lengths": {"inputs": tasks.inputs, "targets": tasks.targets},
    **{"batch_size": 3, "steps": 4, "seed": 0, "z_loss": 0.0},
    "schedule": optimizers.constant(learning_rate=0.01),
    **{"evaluation_period": 2, "evaluation_batches": 9},
    "checkpoint_period": 2,
  }
  return tuning.tuning(**settings | changes)


def _batches(run, count, start=0):
  return list(itertools.islice(batches.training(run, start=start), count))


def _same(left, right) -> bool:
  return all((left[name] == right[name]).all() for name in left)


def _listed(rows):
  """The rows of a batch in plain Python: what is read, predicted, counted."""
  fed, predicted, weights = [], [], []
  for prompt, answer in rows:
    ids = letters.Letters().encode(prompt + answer)
    empty = LENGTH - len(ids) + 1
    fed.append(ids[:-1] + [-1] * empty)
    predicted.append(ids[1:] + [0] * empty)
    before = len(prompt) - 1
    weights.append([0] * before + [1] * len(answer) + [0] * empty)
  return fed, predicted, weights


EXPECTED = [
  ("^d=", "za$"),
  ("^abc=", "aaaa$"),
  ("^ba\n\nq=", "a$"),
  ("^aa=", "ab$"),
]


def test_batches_are_the_same_rows_as_lists(files, capsys):
  run = _run(_tasks(files), batch_size=4)
  said = "2 of 6 records of the pool are left out: 1 empty response, 1 too long"
  found = capsys.readouterr().out
  assert said in found
  assert "6 of 6 records of test have the prompt of one in the pool" in found
  [batch] = batches.evaluation(run)["test"]
  order = instruction_rows.order(4, seed=0, epoch=0)
  fed, predicted, weights = _listed([EXPECTED[place] for place in order])
  assert batch["decoder_input_tokens"].tolist() == fed
  assert batch["decoder_target_tokens"].tolist() == predicted
  assert batch["decoder_loss_weights"].tolist() == weights
  # "a" is id 0: it is read, predicted, weighed and counted as any other.
  assert batches.tokens(run.network, batch) == sum(
    len(prompt + answer) for prompt, answer in EXPECTED
  )


def test_the_loss_of_a_batch_is_that_of_each_row_alone(files):
  network = networks.llama(
    vocab_size=letters.Letters.size, layers=(networks.FULL,)
  )
  run = _run(_tasks(files, network=network), batch_size=4)
  [batch] = batches.evaluation(run)["test"]
  parameters = network_floor.init_parameters(network, jax.random.key(0))
  sums = jax.jit(functools.partial(step.evaluation_step, network=network))(
    parameters, batch
  )
  alone = jax.jit(network.module().apply)
  total, count = 0.0, 0
  for prompt, answer in EXPECTED:
    ids = np.array([letters.Letters().encode(prompt + answer)])
    logits = alone({"params": parameters}, ids[:, :-1], ids[:, 1:])
    logits = np.asarray(logits[0], np.float64)
    normalizers = np.log(np.exp(logits).sum(axis=-1))
    for place in range(len(prompt) - 1, ids.size - 1):
      total += normalizers[place] - logits[place, ids[0, place + 1]]
      count += 1
  assert count == float(sums.weight)
  np.testing.assert_allclose(sums.negative_log_likelihood, total, rtol=1e-5)


MIXED = {
  "shares": {"alone": 0.5, "in_context": 0.3, "text": 0.2},
  "inputs": 24,
  "targets": 24,
}


@pytest.fixture(scope="module")
def mixed(files):
  text = file_corpus.Files(pattern=str(files / "text.jsonl"))
  return _tasks(files, text=text, **MIXED)


def test_a_resumed_run_reads_the_same_batches(mixed):
  run = _run(mixed)
  whole = _batches(run, 9)
  later = _batches(_run(mixed), 5, start=4)
  assert all(map(_same, whole[4:], later))
  other = _batches(_run(mixed, seed=1), 9)
  assert not any(map(_same, whole, other))


def test_a_mixture_has_all_kinds(mixed, files):
  run = _run(mixed, batch_size=50)
  kinds = {"alone": 0, "in_context": 0, "text": 0}
  for batch in _batches(run, 20):
    for ids, weights in zip(
      batch["decoder_input_tokens"], batch["decoder_loss_weights"], strict=True
    ):
      text = letters.text(ids[ids >= 0])
      kind = "in_context" if "[" in text else "alone"
      if "=" not in text:
        kind = "text"
        assert weights[: len(text)].all()
      else:
        # The end and the answer, none of the examples' answers.
        assert weights.argmax() == text.rindex("=")
      kinds[kind] += 1
  assert kinds == {"alone": 500, "in_context": 300, "text": 200}
  assert set(run.evaluation_tasks) == {"test", "test_in_context"}
  assert batches.evaluation(run)["test_in_context"]


def test_a_t5_reads_inputs_and_targets(files, vocabulary):
  network = networks.t5(vocab_size=vocabulary.size)
  tasks = _tasks(files, network=network, inputs=16, targets=12)
  run = _run(tasks, vocabulary, batch_size=5)
  [batch] = batches.evaluation(run)["test"]
  encode, end = vocabulary.encode, vocabulary.eos_id
  expected = {
    (*encode(query), end, *encode(answer), end)
    for query, answer in (
      *(("d=", "za"), ("abc=", "aaaa"), ("ba\n\nq=", "a"), ("aa=", "ab")),
    )
  }
  found = set()
  for inputs, targets, weights in zip(
    batch["encoder_input_tokens"],
    batch["decoder_target_tokens"],
    batch["decoder_loss_weights"],
    strict=True,
  ):
    assert (weights == (targets != 0)).all()
    found.add((*inputs[inputs != 0].tolist(), *targets[targets != 0].tolist()))
  assert found >= expected


def test_nothing_that_fits_is_an_error(files, tmp_path):
  with pytest.raises(
    instruction_rows.RowsError, match="5 too long.*MAX_TOKENS"
  ):
    _run(_tasks(files, inputs=2, targets=2))
  empty = tmp_path / "empty.jsonl"
  empty.write_text('{"instruction": "a", "output": " "}\n')
  with pytest.raises(instruction_rows.RowsError, match="1 empty response"):
    _run(_tasks(files, pool=_instructions(empty)))


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"shares": {"alone": 0.4}}, "sum to 1"),
    ({"shares": {"other": 1.0}}, "expected shares of"),
    ({"shares": {"alone": 0.9999, "in_context": 0.0001}}, "0.001 or more"),
    ({"shares": {"alone": 0.5, "text": 0.5}}, "TEXT"),
    ({"shares": {"in_context": 1.0}, "shots": (0,)}, "SHOTS"),
  ],
)
def test_what_cannot_be_mixed_is_refused(files, changes, message):
  with pytest.raises(instruction_rows.RowsError, match=message):
    _tasks(files, **changes)


def test_a_small_table_is_an_error(files):
  tasks = _tasks(files, network=networks.llama(vocab_size=50))
  with pytest.raises(ValueError, match="DecoderConfig.vocab_size"):
    _run(tasks)


def test_a_t5_needs_sentencepiece(files):
  tasks = _tasks(files, network=networks.t5(vocab_size=128))
  with pytest.raises(tokenizers.TokenizerError, match="SentencePiece"):
    _run(tasks)


def test_a_decoder_is_trained_with_a_tokenizer_of_its_own(files, tmp_path):
  run = tmp_path / "run"
  bindings = {
    **{"POOL": files / "pool.jsonl", "WATCHED": files / "test.jsonl"},
    **{"PREPARED": tmp_path / "prepared", "OUTPUT": run},
    **{"MAX_TOKENS": 96, "VOCABULARY_SIZE": 384, "WIDTH": 16, "HEADS": 2},
    **{"KEY_HEADS": 1, "LAYERS": 1, "MLP_WIDTH": 24, "BATCH_SIZE": 2},
    **{"STEPS": 30, "LEARNING_RATE": 0.03, "CHECKPOINT_PERIOD": 30},
    "byte_pairs.of_instructions.pieces": 260,
  }
  names = ["runs/tune_files", "models/decoder_small", "engines/local"]
  words = [
    f"--gin_file=gin/{n}.gin" for n in (*names, "data/trained_tokenizer")
  ]
  words += [f"--gin.{name}={value}" for name, value in bindings.items()]
  assert main.main(["train", "--debug", *words]) == 0
  rows = list(map(json.loads, (run / "metrics.jsonl").read_text().splitlines()))
  losses = [row["loss"] for row in rows if row.get("evaluation") == "watched"]
  assert losses[-1] < losses[0] - 0.5
  assert (tmp_path / "prepared/tokenizer/tokenizer.json").exists()
