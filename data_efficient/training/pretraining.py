# SPDX-License-Identifier: Apache-2.0
"""Builds the `Run` of span-corruption pre-training on a selection."""

from collections.abc import Sequence
from typing import Any

from data_efficient.data import prepared, preprocessors, selections, tasks
from data_efficient.models import encoder_decoder, tokenizers
from data_efficient.training import optimizers
from data_efficient.training.run import Run


def pretraining(
  *,
  directory: str,
  corpus: prepared.Prepared,
  selection: str,
  vocabulary: tokenizers.SentencePiece,
  network: encoder_decoder.T5Config,
  inputs: int,
  noise_density: float,
  mean_span_length: float,
  batch_size: int,
  steps: int,
  seed: int,
  schedule: optimizers.Schedule,
  z_loss: float,
  evaluation_splits: Sequence[str],
  evaluation_period: int,
  evaluation_batches: int,
  checkpoint_period: int,
) -> Run:
  """A run on the records that a selection keeps.

  Args:
    directory: of the run.
    corpus: what is trained on.
    selection: directory of the selection.
    vocabulary: of the tasks; the network must have room for it.
    network: what is trained.
    inputs: tokens of the encoder's input.
    noise_density: share of tokens that is masked.
    mean_span_length: mean tokens of a masked span.
    batch_size: sequences a step.
    steps: optimizer steps.
    seed: of the run.
    schedule: learning rate by step.
    z_loss: coefficient of (log Z)².
    evaluation_splits: splits that are evaluated along the way.
    evaluation_period: steps between evaluations.
    evaluation_batches: batches an evaluation, at most.
    checkpoint_period: steps between checkpoints.

  Raises:
    ArtifactError: the selection is missing, or was made from another corpus.
    ValueError: the network's vocabulary is too small.
  """
  check_vocabulary(network, vocabulary)
  kept = selections.Selection.open(selection)
  kept.check_corpus(corpus.index.describe())
  corruption = {
    "inputs": inputs,
    "noise_density": noise_density,
    "mean_span_length": mean_span_length,
  }
  lengths = preprocessors.corruption_lengths(**corruption)

  def task(source, records) -> str:
    return tasks.span_corruption(
      corpus=source, selection=records, vocabulary=vocabulary, **corruption
    )

  return Run(
    directory=directory,
    network=network,
    task=task(corpus.corpus, kept),
    evaluation_tasks={
      name: task(*corpus.split(name)) for name in evaluation_splits
    },
    task_feature_lengths={"inputs": inputs, "targets": lengths.targets},
    batch_size=batch_size,
    steps=steps,
    evaluation_period=evaluation_period,
    evaluation_batches=evaluation_batches,
    checkpoint_period=checkpoint_period,
    seed=seed,
    schedule=schedule,
    z_loss=z_loss,
    text_share=lengths.tokens / (lengths.inputs + lengths.targets),
  )


def check_vocabulary(
  network: encoder_decoder.T5Config, vocabulary: tokenizers.SentencePiece
) -> None:
  """Raises ValueError where the network has too few token ids."""
  if network.vocab_size < vocabulary.size:
    raise ValueError(
      f"the network's vocab_size is {network.vocab_size}, but {vocabulary.path}"
      f" has {vocabulary.size} ids: raise T5Config.vocab_size to "
      f"{-(-vocabulary.size // 128) * 128}"
    )


def facts(*, selection: str) -> dict[str, Any]:
  """What tables say of a run's selection, from its manifest."""
  kept = selections.Selection.open(selection)
  summary = kept.summary
  return {
    "sampler": kept.identity["sampler"],
    "budget": kept.identity["budget"]["amount"],
    "selection": selection,
    "kept_records": summary["kept_records"],
    "kept_tokens": summary["kept_tokens"],
    "kept_fraction": summary["kept_token_fraction"],
  }
