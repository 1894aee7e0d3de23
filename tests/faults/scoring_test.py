# SPDX-License-Identifier: Apache-2.0
"""One, two, three and four processes score a corpus, are killed, and go on."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import jax
import pytest
import sentencepiece

from data_efficient.data import journals, score_sets, sketches
from data_efficient.models import checkpoints
from data_efficient.models import networks as models
from tests import networks, quickstarts

SHARDS, RECORDS, PART = 3, 40, 8
PARTS = SHARDS * RECORDS // PART


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
  """A directory with a corpus and a vocabulary."""
  directory = tmp_path_factory.mktemp("inputs")
  generator = random.Random(0)
  texts = [
    " ".join(generator.choices(quickstarts.WORDS, k=generator.randint(3, 90)))
    for _ in range(SHARDS * RECORDS)
  ]
  texts[5] = ""
  for shard in range(SHARDS):
    rows = texts[shard * RECORDS : (shard + 1) * RECORDS]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in rows)
    (directory / f"{shard}.jsonl").write_text(lines)
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter([*texts, "yes no ### OPTIONS - ? a"] * 3),
    model_prefix=str(directory / "words"),
    vocab_size=200,
    hard_vocab_limit=False,
    user_defined_symbols=["▁yes", "▁no"],
    **{"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    minloglevel=2,
  )
  return directory


def _words(inputs, *files, **bindings):
  """Of a command that scores the corpus."""
  files = ["gin/runs/score.gin", "gin/data/files.gin", *files]
  bindings = {
    "FILES": f"{inputs}/*.jsonl",
    "PREPARED": f"{inputs}/prepared",
    "SCORED_SPLITS": None,
    **bindings,
  }
  return [f"--gin_file={name}" for name in files] + [
    f"--gin.{name}={value!r}" for name, value in bindings.items()
  ]


@pytest.fixture(scope="module")
def words(inputs):
  """The words of a command that asks a judge."""
  directory = inputs
  network = networks.t5(vocab_size=256)
  parameters = models.init_parameters(network, jax.random.key(1))
  checkpoints.save_parameters(directory / "judge", parameters)
  (directory / "judge.gin").write_text(
    "include 'gin/scorers/ask_llm.gin'\n"
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.models import encoder_decoder\n"
    "from data_efficient.scorers import ask_llm\n"
    "MODEL = @encoder_decoder.T5Config()\n"
    "encoder_decoder.T5Config:\n"
    "  vocab_size = 256\n  emb_dim = 16\n  num_heads = 2\n  head_dim = 8\n"
    "  mlp_dim = 32\n  num_encoder_layers = 1\n  num_decoder_layers = 1\n"
    "  dtype = 'float32'\n  dropout_rate = 0.0\n"
    "  embedding_init_stddev = 1.0\n"
    f"ask_llm.AskLlm.part_records = {PART}\n"
  )
  return _words(
    directory,
    "gin/data/vocabulary_file.gin",
    f"{directory}/judge.gin",
    VOCABULARY_FILE=f"{directory}/words.model",
    JUDGE_CHECKPOINT=f"{directory}/judge",
    JUDGE_TOKENS=320,
    BATCH_TOKENS=1280,
  )


def _start(root, words, output, count, seconds=0.0):
  with socket.socket() as found:
    found.bind(("localhost", 0))
    port = found.getsockname()[1]
  processes = []
  for index in range(count):
    environment = os.environ | {
      **{"PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"},
      "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    if count > 1:
      value = f"{index}/{count}@localhost:{port}"
      environment["DATA_EFFICIENT_PROCESSES"] = value
    command = [sys.executable, "-m", "tests.faults.score_slowly", str(seconds)]
    processes.append(
      subprocess.Popen(
        [*command, "score", *words, f"--gin.OUTPUT={str(output)!r}"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
      )
    )
  return processes


def _finish(processes) -> None:
  for process in processes:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output


def _scored(output) -> int:
  return len(journals.read(output))


def _kill_midway(processes, output, done=_scored, parts=3) -> int:
  """Kills all of them when some parts are there; how many are."""
  while done(output) < parts:
    for process in processes:
      assert process.poll() is None, process.communicate()[0]
    time.sleep(0.02)
  for process in processes:
    process.send_signal(signal.SIGKILL)
  for process in processes:
    process.wait()
  return done(output)


def _bytes(directory) -> dict[str, bytes]:
  """Everything in it but what says how long it took."""
  return {
    path.name: path.read_bytes()
    for path in directory.iterdir()
    if path.name not in ("cost.json", ".lock")
  }


@pytest.fixture(scope="module")
def alone(root, words, tmp_path_factory):
  """What one process leaves, that nobody stops."""
  directory = tmp_path_factory.mktemp("alone") / "scores"
  _finish(_start(root, words, directory, 1))
  found = score_sets.ScoreSet.open(directory)
  assert found.scored == SHARDS * RECORDS - 1
  statuses = found.statuses()["0.jsonl"]
  assert statuses[5] == "unscorable(empty)"
  return _bytes(directory)


@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_write_what_one_does(
  root, words, alone, tmp_path, count
):
  _finish(_start(root, words, tmp_path / "scores", count))
  assert _bytes(tmp_path / "scores") == alone


@pytest.mark.parametrize("before, after", [(2, 1), (1, 4), (4, 2)])
def test_what_some_began_others_finish(
  root, words, alone, tmp_path, before, after
):
  output = tmp_path / "scores"
  done = _kill_midway(_start(root, words, output, before, 0.4), output)
  assert 3 <= done < PARTS
  _finish(_start(root, words, output, after))
  assert _bytes(output) == alone


@pytest.fixture(scope="module")
def vectors(root, inputs):
  """Directory of an embedding set."""
  (inputs / "vectors.gin").write_text(
    "include 'gin/scorers/latent_semantic.gin'\n"
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.scorers import latent_semantic\n"
    "latent_semantic.LatentSemantic.dimensions = 8\n"
  )
  files = ("gin/data/vocabulary_file.gin", f"{inputs}/vectors.gin")
  vocabulary = {"VOCABULARY_FILE": f"{inputs}/words.model"}
  words = _words(inputs, *files, **vocabulary)
  _finish(_start(root, words, inputs / "vectors", 1))
  return str(inputs / "vectors")


@pytest.fixture(scope="module")
def density(root, inputs, vectors, tmp_path_factory):
  """The words of a command that makes a sketch, and what it leaves alone."""
  (inputs / "density.gin").write_text(
    "include 'gin/scorers/density.gin'\n"
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.scorers import density\n"
    "density.Density:\n  num_rows = 16\n  num_buckets = 97\n"
    f"  block = 4\n  part_records = {PART}\n"
  )
  words = _words(inputs, f"{inputs}/density.gin", EMBEDDINGS=vectors)
  directory = tmp_path_factory.mktemp("density") / "scores"
  _finish(_start(root, words, directory, 1))
  assert sketches.read(directory / "sketch").absorbed.total == 119
  return words, _bytes(directory)


def _counted(output) -> int:
  """Parts that all the sketch's files hold."""
  found = 0
  for path in output.glob("sketch*"):
    # A file that is being replaced, or put into the one file, comes again.
    if path.suffix != ".tmp":
      try:
        found += len(sketches.read(path).absorbed.parts)
      except FileNotFoundError:
        continue
  return found


@pytest.mark.parametrize(
  "before, after, parts", [(1, 3, 3), (2, 1, 4), (3, 2, 6), (3, 3, PARTS + 2)]
)
def test_a_sketch_that_some_began_others_finish(
  root, density, tmp_path, before, after, parts
):
  words, alone = density
  output = tmp_path / "scores"
  started = _start(root, words, output, before, 0.2)
  if parts > PARTS:  # killed while scoring by it
    _kill_midway(started, output, parts=2)
    assert _counted(output) == PARTS
  else:
    done = _kill_midway(started, output, _counted, parts)
    assert parts <= done < PARTS
  _finish(_start(root, words, output, after))
  assert _bytes(output) == alone


def test_three_processes_share_a_sketch(root, density, tmp_path):
  words, alone = density
  processes = _start(root, words, tmp_path / "scores", 3)
  _finish(processes)
  assert _bytes(tmp_path / "scores") == alone


def _pieces(output) -> int:
  return len([*output.glob("working/*.safetensors")])


def test_several_processes_share_clusters(root, inputs, vectors, tmp_path):
  (inputs / "semdedup.gin").write_text(
    "include 'gin/scorers/semdedup.gin'\n"
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.scorers import clusters\n"
    "from data_efficient.scorers import semdedup\n"
    "CLUSTERS = 8\n"
    "clusters.KMeans:\n  rounds = 4\n  block = 16\n"
    f"semdedup.SemDeDup:\n  memory_bytes = 1\n  part_records = {PART}\n"
  )
  words = _words(inputs, f"{inputs}/semdedup.gin", EMBEDDINGS=vectors)
  outputs = [tmp_path / name for name in ("alone", "two", "three")]
  _finish(_start(root, words, outputs[0], 1))
  _finish(_start(root, words, outputs[1], 2))
  # One piece of centroids, 8 of the pool, 8 of its clusters.
  _kill_midway(_start(root, words, outputs[2], 3, 0.3), outputs[2], _pieces, 11)
  _finish(_start(root, words, outputs[2], 2))
  found = [_bytes(output) for output in outputs]
  assert found[0] == found[1] == found[2]
