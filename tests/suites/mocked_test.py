# SPDX-License-Identifier: Apache-2.0
"""Every declared task of TFDS yields a batch, from made-up records."""

import dataclasses

import numpy as np
import pytest
import seqio

from data_efficient.data import (
  downstream_tasks,
  few_shot,
  instruction_tasks,
  t5_tasks,
)
from data_efficient.training import batches
from tests import networks
from tests.suites import declared

mixtures = pytest.importorskip(
  "t5.data.mixtures", reason="t5 is not installed: run `make suites`"
)
NETWORK = networks.t5(vocab_size=512)
LENGTHS = {"inputs": 48, "targets": 12}
# What T5's mixtures have, tasks of the rate 0 too, and the two alone.
T5 = (
  *seqio.MixtureRegistry.get("glue_v002_proportional").tasks,
  *seqio.MixtureRegistry.get("super_glue_v102_proportional").tasks,
  *map(seqio.TaskRegistry.get, ("cnn_dailymail_v002", "squad_v010_allanswers")),
)
T5_NAMES = sorted(task.name for task in T5)
SAID = (
  *("anli_r1", "anli_r2", "anli_r3", "snli", "paws_wiki", "imdb_reviews"),
  *("yelp_polarity_reviews", "ag_news_subset", "trec", "piqa", "winogrande"),
  *("cosmos_qa", "hellaswag", "samsum", "xsum", "gigaword", "aeslc"),
  *("math_qa", "databricks_dolly"),
)
ASKED = {
  "GSM8K": ("GSM8K",),
  "UnifiedQA": ("commonsenseqa", "openbookqa", "qasc", "social_iqa"),
  **{"BoolQ": ("BoolQ",), "ARC-E": ("ARC-E",), "ARC-C": ("ARC-C",)},
}
# HellaSwag's labels are plain numbers: of four endings, these.
_LABELS = {"max_value": 4}
QUESTIONS = [(suite, task) for suite, tasks in ASKED.items() for task in tasks]


def _batch(task):
  """Examples of a task, and the batch that the engine makes of them."""
  dataset = seqio.get_mixture_or_task(task).get_dataset(
    sequence_length=LENGTHS, split="train", shuffle=False, seed=0, num_epochs=1
  )
  converted = batches.converter(NETWORK, task)(dataset, LENGTHS)
  examples = list(dataset.take(4).as_numpy_iterator())
  [batch] = converted.batch(len(examples)).take(1).as_numpy_iterator()
  return examples, batch


def _check(examples, batch, vocabulary):
  """Whether the batch has the texts' tokens, by the project's vocabulary."""
  assert 0 < len(examples) <= 4
  for side, name in (
    ("inputs", "encoder_input_tokens"),
    ("targets", "decoder_target_tokens"),
  ):
    length = LENGTHS[side]
    assert batch[name].shape == (len(examples), length)
    for example, found in zip(examples, batch[name], strict=True):
      text = example[f"{side}_pretokenized"].decode()
      # An end is added to what was not cut, and to what was.
      wanted = [*vocabulary.encode(text)[: length - 1], vocabulary.eos_id]
      np.testing.assert_array_equal(
        found, np.pad(wanted, (0, length - len(wanted)))
      )
  weights = batch["decoder_loss_weights"]
  np.testing.assert_array_equal(weights, batch["decoder_target_tokens"] > 0)


@pytest.mark.parametrize("name", T5_NAMES)
def test_a_task_of_t5(name, vocabulary, mocked):
  with mocked():
    task = t5_tasks.task(
      name, split="train[:95%]", vocabulary=vocabulary, data_dir=""
    )
    examples, batch = _batch(task)
  _check(examples, batch, vocabulary)


@pytest.mark.parametrize("name", SAID)
def test_a_dataset_that_is_prompted(name, vocabulary, mocked, tmp_path):
  with mocked(**_LABELS if name == "hellaswag" else {}):
    run = declared.tuned("gin/data/flan.gin", vocabulary, tmp_path)
    tasks = seqio.get_mixture_or_task(run.task).tasks
    [task] = [t.name for t in tasks if t.name.startswith(f"prompted_{name}_")]
    examples, batch = _batch(task)
  _check(examples, batch, vocabulary)


@pytest.mark.parametrize(("suite", "task"), QUESTIONS)
def test_a_task_that_is_asked(suite, task, vocabulary, mocked):
  found = declared.suites("gin/runs/suite_few_shot.gin", vocabulary)
  [asked] = [each for each in found if each.name == suite]
  # Made-up splits are equal, and a question is asked in one.
  dataset = dataclasses.replace(
    asked.dataset, splits={"test": asked.dataset.splits["test"]}
  )
  with mocked():
    questions = dataclasses.replace(asked, dataset=dataset).tasks()[task]
  prompts = few_shot.prompts(
    questions,
    split=few_shot.Split.TEST,
    shots=0,
    limit=4,
    encode=vocabulary.encode,
    window=4000,
  )
  choices = asked.how == "likelihood"
  registered = downstream_tasks.register(
    prompts, vocabulary=vocabulary, choices=choices
  )
  examples, batch = _batch(registered)
  assert len(examples) == 4
  first = prompts[0].question
  targets = vocabulary.encode((first.choices or [first.shown])[0])
  for wanted, found in (
    (prompts[0].ids, batch["encoder_input_tokens"][0]),
    ([*targets, vocabulary.eos_id], batch["decoder_target_tokens"][0]),
  ):
    length = min(len(wanted), len(found))
    assert list(found[:length]) == list(wanted[:length])
    assert not found[length:].any()


@pytest.mark.parametrize("data_file", declared.TUNED)
def test_a_mixture_trains_with_what_is_watched(
  data_file, vocabulary, mocked, tmp_path
):
  with mocked(**_LABELS if "flan" in data_file else {}):
    run = declared.tuned(data_file, vocabulary, tmp_path)
    run = dataclasses.replace(
      run, network=NETWORK, batch_size=4, task_feature_lengths=LENGTHS
    )
    tasks = getattr(seqio.get_mixture_or_task(run.task), "tasks", [])
    assert not [task for task in tasks if "_axb_" in task.name]
    batch = next(batches.training(run, start=0))
    watched = batches.evaluation(run)
  assert batch["encoder_input_tokens"].shape == (4, 48)
  assert batch["decoder_loss_weights"].any(axis=1).all()
  assert watched and all(found for found in watched.values())


def test_the_declared_tasks_are_these(vocabulary, mocked, tmp_path):
  with mocked():
    run = declared.tuned("gin/data/flan.gin", vocabulary, tmp_path)
  tasks = seqio.get_mixture_or_task(run.task).tasks
  assert len(tasks) == len(SAID)
  found = declared.suites("gin/runs/suite_few_shot.gin", vocabulary)
  asked = {s.name: tuple(s.dataset.datasets) for s in found if s.dataset}
  assert asked == ASKED
  # GLUE, SuperGLUE with DPR and T5's WSC twice, and the two alone.
  assert len(T5_NAMES) == 11 + 12 + 2
  for name in ("glue", "super_glue", "cnn_dailymail", "squad"):
    [benchmark] = declared.suites(f"gin/runs/suite_{name}.gin", vocabulary)
    for rows in (benchmark.tasks, benchmark.chosen_by):
      assert {each for row in rows.values() for each in row} <= {*T5_NAMES}


def test_a_template_that_names_no_feature_is_refused(vocabulary, mocked):
  dataset = instruction_tasks.PromptedDataset(
    name="x", dataset="piqa:1.0.0", inputs=["{none}"], target="{goal}"
  )
  task = instruction_tasks.task(
    dataset, split="train", vocabulary=vocabulary, data_dir=""
  )
  with mocked(), pytest.raises(ValueError, match="no feature 'none'; there"):
    seqio.get_mixture_or_task(task).get_dataset(None, split="train")
