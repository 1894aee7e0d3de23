# SPDX-License-Identifier: Apache-2.0
"""Builds the `Run` of span-corruption pre-training on a selection."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from data_efficient.data import prepared, preprocessors, selections, tasks
from data_efficient.models import encoder_decoder, networks, tokenizers
from data_efficient.training import optimizers
from data_efficient.training.run import Run


def pretraining(
  *,
  directory: str,
  corpus: prepared.Prepared,
  selection: str,
  serving: str,
  loss_weights: bool,
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
  token_cache: str | None = None,
) -> Run:
  """A run on the records that a selection keeps.

  Args:
    directory: of the run.
    corpus: what is trained on.
    selection: directory of the selection.
    serving: how its records are read, a value of `tasks.Serving`; evaluation
      sets are always served in the cheapest way, in one order for all runs.
    loss_weights: whether the selection's weights are the loss's; evaluations
      are never weighted.
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
    token_cache: directory of the verb `cache`, to read the corpus's tokens
      from in place of its texts.

  Raises:
    ArtifactError: the selection is missing, or was made from another corpus.
    CorpusError: the corpus has changed, or cannot be served in this way.
    ValueError: the network's vocabulary is too small.
  """
  check_vocabulary(network, vocabulary)
  made = _Tasks(corpus, vocabulary, inputs, noise_density, mean_span_length)
  lengths = made.lengths
  return Run(
    directory=directory,
    network=network,
    task=made.of_selection(
      selections.Selection.open(selection),
      serving=serving,
      weighted=loss_weights,
      cache=token_cache,
    ),
    evaluation_tasks={name: made.of_split(name) for name in evaluation_splits},
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
    measured_on=made.measured_on(evaluation_splits),
  )


@dataclasses.dataclass(frozen=True)
class _Tasks:
  """Tasks of a corpus and its splits, all of them corrupted alike."""

  corpus: prepared.Prepared
  vocabulary: tokenizers.SentencePiece
  inputs: int
  noise_density: float
  mean_span_length: float

  @property
  def corruption(self) -> dict[str, int | float]:
    return {
      "inputs": self.inputs,
      "noise_density": self.noise_density,
      "mean_span_length": self.mean_span_length,
    }

  @property
  def lengths(self) -> preprocessors.CorruptionLengths:
    return preprocessors.corruption_lengths(**self.corruption)

  def of_selection(self, selection: selections.Selection, **served: Any) -> str:
    """The task of what is trained on; `served` says how."""
    return tasks.span_corruption(
      corpus=self.corpus.corpus,
      index=self.corpus.index,
      selection=selection,
      vocabulary=self.vocabulary,
      **self.corruption,
      **served,
    )

  def of_split(self, name: str) -> str:
    """The task of an evaluation set."""
    split = self.corpus.split(name)
    return tasks.span_corruption(
      corpus=split.corpus,
      index=self.corpus.index_of(name),
      selection=split.selection,
      serving=tasks.cheapest(split.corpus),
      weighted=False,
      vocabulary=self.vocabulary,
      **self.corruption,
    )

  def measured_on(self, names: Sequence[str]) -> dict[str, Any]:
    """What two runs' losses must have in common to be compared."""
    return {
      "corpus": self.corpus.index.fingerprint,
      "vocabulary": self.vocabulary.fingerprint,
      "span_corruption": self.corruption,
      "evaluation_sets": {
        name: self.corpus.split(name).selection.fingerprint() for name in names
      },
    }


def check_vocabulary(
  network: networks.Network, vocabulary: tokenizers.Tokenizer
) -> None:
  """Raises ValueError where the network has too few token ids."""
  if network.vocab_size < vocabulary.size:
    kind = type(network).__name__
    raise ValueError(
      f"the network's vocab_size is {network.vocab_size}, but {vocabulary.path}"
      f" has {vocabulary.size} ids: raise {kind}.vocab_size to "
      f"{-(-vocabulary.size // 128) * 128}"
    )


def facts(*, selection: str) -> dict[str, Any]:
  """What tables say of a run's selection, from its manifest.

  Of a selection made without token counts, "kept_tokens" is None and
  "kept_fraction" is of the records.
  """
  kept = selections.Selection.open(selection)
  summary = kept.summary
  return {
    "sampler": kept.identity["sampler"],
    "budget": kept.identity["budget"]["amount"],
    "selection": selection,
    "kept_records": summary["kept_records"],
    "kept_tokens": summary.get("kept_tokens"),
    "kept_fraction": summary.get(
      "kept_token_fraction", summary["kept_fraction"]
    ),
  }
