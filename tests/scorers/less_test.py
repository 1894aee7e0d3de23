# SPDX-License-Identifier: Apache-2.0
"""LESS: a case worked by hand, a twin by loops, and what cannot be scored."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from data_efficient.data import working_directories
from data_efficient.kernels.gradient_features import AdamRates, Moments
from data_efficient.models import (
  adapter_files,
  adapters,
  fingerprints,
  networks,
)
from data_efficient.models.parameter_trees import CheckpointError
from data_efficient.scorers import (
  less,
  less_gradients,
  less_targets,
  warmups,
)
from data_efficient.scorers.templates import Instruction
from data_efficient.training import step as training_step
from tests import networks as sizes
from tests.kernels.gradient_features_test import _dense
from tests.scorers import asked, pairs

LLAMA = sizes.llama(vocab_size=64, layers=(sizes.FULL,))
LORA = adapters.Lora(rank=2, alpha=8.0, dropout_rate=0.5)
RATES = AdamRates(b1=0.9, b2=0.95, eps=1e-6, eps_root=0.0)
DIMENSIONS = 64
POOL = [
  Instruction("add two", "four"),
  Instruction("say nothing", ""),
  Instruction("name a colour", "blue"),
  Instruction("a very long one " * 9, "yes"),
  Instruction("", "an answer of some length"),
]


@dataclasses.dataclass
class Records:
  """Targets in memory."""

  records: list
  tasks: list

  def identity(self):
    return {"records": [list(record) for record in self.records]}


TARGETS = Records(
  [
    Instruction("add three", "six"),
    Instruction("name a bird", "robin"),
    Instruction("add one", "two"),
    Instruction("unused", ""),
  ],
  ["sums", "names", "sums", "sums"],
)


def _unread(split, start=0, stop=None):
  """A pool that nobody needs to look at before it is scored."""
  raise AssertionError("the pool was read")


def _tree(network, seed, power=1.0):
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) * power, jnp.float32),
    adapters.shapes(network, LORA),
  )


def _checkpoint(network, number, rate):
  second = jax.tree.map(jnp.square, _tree(network, 30 + number, 0.1))
  moments = Moments(jnp.int32(3), _tree(network, 20 + number, 0.1), second)
  return warmups.Checkpoint(
    number, _tree(network, 10 + number, 0.3), moments, rate
  )


def _scorer(network=LLAMA, **settings):
  checkpoints = (_checkpoint(network, 5, 3e-4), _checkpoint(network, 9, 1e-4))
  settings = {
    **{"judge": pairs.judge(network), "tokenizer": asked.Letters()},
    **{"template": pairs.TEMPLATE, "targets": TARGETS, "b1": 0.9},
    **{"b2": 0.95, "epsilon": 1e-6},
    **{"warmup": warmups.Warmup(LORA, "base", checkpoints), "seed": 1},
    **{"subtask": "mean_gradient", "dimensions": DIMENSIONS},
    **{"max_tokens": 48, "length_step": 24, "batch_tokens": 96},
    **{"part_records": 8},
  } | settings
  return less.Less(**settings)


def _prepared(**settings):
  scorer = _scorer(**settings)
  scorer.prepare(_unread)
  return scorer


# One task has the gradients (1, 0) and (0, 1), whose mean points to
# (1, 1) / sqrt 2; the other (0, -2). A record's directions are (3, 4) at the
# first checkpoint and (-4, 3) at the second; the learning rates 3 : 1.
# Cosines to the first task: 7 / 5 sqrt 2 and -1 / 5 sqrt 2, together
# .75 * 7 / 5 sqrt 2 - .25 / 5 sqrt 2 = 5 / 5 sqrt 2 = .7071.
# To the second: -4 / 5 and -3 / 5, together -.6 - .15 = -.75.
# By mean cosines: to the first task (3 + 4) / 5 / 2 = .7 and (-4 + 3) / 10 =
# -.1, together .525 - .025 = .5.
@pytest.mark.parametrize(
  ("subtask", "score"), [("mean_gradient", 0.5**0.5), ("mean_cosine", 0.5)]
)
def test_the_case_worked_by_hand(monkeypatch, subtask, score):
  plain = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -2.0]])
  adam = {5: [3.0, 4.0], 9: [-4.0, 3.0]}

  def of(self, checkpoint, placed, *, adam):
    rows = len(placed["counted"])
    found = [directions[checkpoint.step]] if adam else plain
    return jnp.asarray(
      np.pad(found, ((0, rows - len(found)), (0, 0))), "float32"
    )

  directions = adam
  monkeypatch.setattr(less_gradients.Gradients, "of", of)
  same = Instruction("add", "two")
  scorer = _prepared(
    subtask=subtask,
    dimensions=2,
    targets=Records([same] * 3, ["first", "first", "second"]),
    batch_tokens=24 * 4,
  )
  np.testing.assert_allclose(scorer.weights, [0.75, 0.25])
  found = scorer.score([same])
  assert found.columns["score"][0] == pytest.approx(score, abs=1e-6)
  assert found.columns["task"][0] == 0
  influence = scorer.step(scorer.pack([same]).batches[0])[0]
  np.testing.assert_allclose(influence, [score, -0.75], atol=1e-6)


def _rows(network, instruction):
  """Features of one row of a fixed length, and which targets are the answer's.

  As in `Rows` of the training's converters, not as `answer_rows` makes them.
  """
  encode = asked.Letters().encode
  given = [*encode("Z"), *encode(f"q {instruction.prompt}:")]
  answer = [*encode(instruction.response), 1]
  if "encoder_input_tokens" in network.required:
    rows = {
      "encoder_input_tokens": [*given, 1],
      "decoder_input_tokens": [0, *answer[:-1]],
      "decoder_target_tokens": answer,
    }
    first, padding = 0, 0
  else:
    row = [*given, *answer]
    rows = {"decoder_input_tokens": row, "decoder_target_tokens": row}
    first, padding = len(given) - 1, -1
  batch = {
    name: np.array([row + [padding] * (64 - len(row))], np.int32)
    for name, row in rows.items()
  }
  # Logits at a place, and the token that is to be there next.
  weights, targets = np.zeros(64, np.float32), np.zeros(64, int)
  weights[first : first + len(answer)] = 1 / len(answer)
  targets[first : first + len(answer)] = answer
  return batch, targets, weights


@functools.partial(jax.jit, static_argnames="network")
@functools.partial(jax.grad, argnums=0)
def _gradient(adapter, parameters, batch, targets, weights, *, network):
  """Of the mean loss, by weights that the adapter is merged into."""
  merged = adapters.merged(parameters, adapter, LORA)
  logits = networks.logits(network, merged, batch, dropout=None)[0]
  log_p = jax.nn.log_softmax(logits)[np.arange(64), targets]
  return -(weights * log_p).sum()


def _gradient_of(scorer, adapter, instruction) -> np.ndarray:
  batch, targets, weights = _rows(scorer.judge.network, instruction)
  found = _gradient(
    adapter,
    scorer.judge.parameters,
    batch,
    targets,
    weights,
    network=scorer.judge.network,
  )
  return _flat(found)


def _flat(tree) -> np.ndarray:
  """The leaves one behind another, by their sorted names."""
  if not isinstance(tree, dict):
    return np.asarray(tree, np.float64).ravel()
  return np.concatenate([_flat(tree[name]) for name in sorted(tree)])


def _adam(gradient, moments):
  t = int(moments.count) + 1
  first = RATES.b1 * _flat(moments.first) + (1 - RATES.b1) * gradient
  second = RATES.b2 * _flat(moments.second) + (1 - RATES.b2) * gradient**2
  first, second = first / (1 - RATES.b1**t), second / (1 - RATES.b2**t)
  return first / (np.sqrt(second) + RATES.eps)


def _slowly(scorer, instruction):
  """Influence on each task, by a dense matrix and one gradient at a time."""
  total = np.zeros(2)
  for weight, checkpoint in zip(
    [0.75, 0.25], scorer.warmup.checkpoints, strict=True
  ):
    gradient = functools.partial(_gradient_of, scorer, checkpoint.adapter)
    size = len(_flat(checkpoint.adapter))
    key = jax.random.key(scorer.seed, impl="threefry2x32")
    matrix = _dense(key, size, DIMENSIONS) / DIMENSIONS**0.5
    z = matrix @ _adam(gradient(instruction), checkpoint.moments)
    for number, task in enumerate(("names", "sums")):
      own = [
        matrix @ gradient(one)
        for one, name in zip(TARGETS.records, TARGETS.tasks, strict=True)
        if name == task and one.response
      ]
      if scorer.subtask == "mean_cosine":
        own = [g / np.linalg.norm(g) for g in own]
        cosine = np.mean(own, axis=0) @ z / np.linalg.norm(z)
      else:
        g = np.mean(own, axis=0)
        cosine = g @ z / np.linalg.norm(g) / np.linalg.norm(z)
      total[number] += weight * cosine
  return total


@pytest.mark.parametrize("subtask", ["mean_gradient", "mean_cosine"])
def test_influence_is_the_twin_s(subtask):
  compare_with_the_twin(_prepared(subtask=subtask))


def compare_with_the_twin(scorer):
  found = scorer.score(POOL)
  assert found.statuses == [
    *("scored", "unscorable(empty response)", "scored"),
    *("unscorable(too long)", "scored"),
  ]
  for row in (0, 4):
    slow = _slowly(scorer, POOL[row])
    assert found.columns["score"][row] == pytest.approx(slow.max(), abs=1e-4)
    assert found.columns["task"][row] == slow.argmax()
  assert found.columns["answer_tokens"].tolist() == [5, 0, 5, 0, 21]


def test_neighbours_parts_and_killed_runs_change_nothing(tmp_path):
  scorer = _prepared()
  whole = scorer.score(POOL).columns["score"]
  np.testing.assert_array_equal(scorer.score(POOL).columns["score"], whole)
  alone = [scorer.score([one]).columns["score"][0] for one in POOL]
  np.testing.assert_allclose(alone, whole, atol=1e-5)
  kept = _scorer()
  kept.working_files = working_directories.WorkingDirectory(tmp_path / "w")
  kept.prepare(_unread)
  again = _scorer(targets=Records(TARGETS.records, TARGETS.tasks))
  again.working_files = kept.working_files
  again._targets_piece = _unread  # what is there is not made again
  again.prepare(_unread)
  np.testing.assert_array_equal(again.directions, scorer.directions)


def test_all_that_a_score_depends_on_is_in_its_identity():
  first = _scorer().identity()
  json.dumps(first)
  assert _scorer().identity() == first
  checkpoints = _scorer().warmup.checkpoints
  moved = checkpoints[0]._replace(adapter=_tree(LLAMA, 99))
  slower = checkpoints[0]._replace(weight=1.0)
  other = checkpoints[0]._replace(
    moments=checkpoints[0].moments._replace(count=jnp.int32(4))
  )
  for settings in (
    *({"seed": 2}, {"dimensions": 32}, {"subtask": "mean_cosine"}),
    *({"b1": 0.8}, {"b2": 0.9}, {"epsilon": 1e-7}),
    *({"max_tokens": 49}, {"targets": Records(TARGETS.records, ["a"] * 4)}),
    {"warmup": warmups.Warmup(LORA, "base", checkpoints[:1])},
    {"warmup": warmups.Warmup(LORA, "base", (moved, checkpoints[1]))},
    {"warmup": warmups.Warmup(LORA, "base", (slower, checkpoints[1]))},
    {"warmup": warmups.Warmup(LORA, "base", (other, checkpoints[1]))},
  ):
    assert _scorer(**settings).identity() != first, settings


def test_targets_that_cannot_be_used():
  for targets, message in (
    (Records([], []), "no target records"),
    (
      Records([*TARGETS.records[:1], POOL[3]], ["a", "b"]),
      r"\['b'\] have no record that can be used \(too long\)",
    ),
  ):
    with pytest.raises(less_targets.LessError, match=message):
      _prepared(targets=targets)
  with pytest.raises(less_targets.LessError, match="prepare must run"):
    _scorer().score(POOL)
  with pytest.raises(ValueError, match="dimensions = 0"):
    _scorer(dimensions=0)


def test_gradients_that_are_no_numbers():
  spoilt = jax.tree.map(lambda leaf: leaf * np.nan, _tree(LLAMA, 0))
  (one, _) = _scorer().warmup.checkpoints
  warmup = warmups.Warmup(LORA, "base", (one._replace(adapter=spoilt),))
  with pytest.raises(less_targets.LessError, match="zero or not finite"):
    _prepared(warmup=warmup)
  scorer = _scorer(warmup=warmup)
  scorer.directions = np.ones((1, 2, DIMENSIONS), np.float32)
  assert scorer.score(POOL[:1]).statuses == ["unscorable(no gradient)"]


def _run(directory, judge, optimizer, steps=(4, 8), rates=(2e-4, 1e-4)):
  """What the engine leaves of a run of LoRA; `steps` of it were kept."""
  adapter = adapters.init(judge.network, LORA, jax.random.key(0))
  state = training_step.State(jnp.int32(0), adapter, optimizer.init(adapter))
  directory.mkdir()
  with ocp.CheckpointManager(directory / "checkpoints") as checkpoints:
    for number in range(1, max(steps) + 1):
      gradients = _tree(judge.network, number)
      updates, inner = optimizer.update(
        gradients, state.optimizer_state, state.parameters
      )
      moved = optax.apply_updates(state.parameters, updates)
      state = training_step.State(jnp.int32(number), moved, inner)
      if number in steps:
        checkpoints.save(
          number,
          args=ocp.args.Composite(state=ocp.args.StandardSave(state)),
        )
  rows = [
    {"step": n, "learning_rate": rates[(n - 1) // 4], "loss": 1.0}
    for n in (2, 4, 6, 8)
  ]
  text = "".join(json.dumps(row) + "\n" for row in [{"step": 0}, *rows])
  (directory / "metrics.jsonl").write_text(text)
  base = adapter_files.Base("base", fingerprints.fingerprint(judge.parameters))
  record = adapter_files.Record(LORA, base)
  (directory / adapter_files.NAME).write_bytes(record.encoded())
  return state


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  directory = tmp_path_factory.mktemp("warmup") / "run"
  judge = pairs.judge(LLAMA)
  return directory, _run(directory, judge, optax.adamw(1e-2)), judge


def test_a_warm_up_is_read_as_it_was_left(run):
  directory, state, judge = run
  found = warmups.read(run=str(directory), judge=judge)
  assert found.lora == LORA
  assert [c.step for c in found.checkpoints] == [4, 8]
  np.testing.assert_allclose(
    [c.weight for c in found.checkpoints], [4 * 2e-4, 4 * 1e-4]
  )
  last = found.checkpoints[1]
  assert int(last.moments.count) == 8
  adam = state.optimizer_state[0]
  for ours, theirs in (
    (last.adapter, state.parameters),
    (last.moments.first, adam.mu),
    (last.moments.second, adam.nu),
  ):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
  (one,) = warmups.read(run=str(directory), judge=judge, steps=[8]).checkpoints
  assert one.weight == pytest.approx(8 * 1.5e-4)
  assert _prepared(warmup=found).score(POOL[:1]).statuses == ["scored"]


def test_a_warm_up_that_is_none(run, tmp_path):
  directory, _, judge = run
  with pytest.raises(warmups.WarmupError, match=r"\[5\] are asked for"):
    warmups.read(run=str(directory), judge=judge, steps=[5])
  with pytest.raises(warmups.WarmupError, match="no run that trained an adap"):
    warmups.read(run=str(tmp_path), judge=judge)
  other = pairs.judge(LLAMA)
  other = dataclasses.replace(
    other, parameters=jax.tree.map(lambda leaf: leaf * 2, other.parameters)
  )
  with pytest.raises(CheckpointError, match="use the base"):
    warmups.read(run=str(directory), judge=other)
  _run(tmp_path / "sgd", judge, optax.sgd(0.1), steps=(1,))
  with pytest.raises(warmups.WarmupError, match="no moments"):
    warmups.read(run=str(tmp_path / "sgd"), judge=judge)
  _run(tmp_path / "one", judge, optax.adam(0.1), steps=(1,))
  with pytest.raises(warmups.WarmupError, match="no learning rate"):
    warmups.read(run=str(tmp_path / "one"), judge=judge)
  for path in (tmp_path / "one/checkpoints/1/state").rglob("d/*"):
    path.unlink()
  with pytest.raises(CheckpointError, match="missing or cut short"):
    warmups.read(run=str(tmp_path / "one"), judge=judge)
