# SPDX-License-Identifier: Apache-2.0
"""What is measured of a tuned model, or of a base with examples in context.

Along training (`measures.read`): the loss on the answers that are watched. Of
responses (responses.json): ROUGE, embedding similarity, exact accuracy, and the
loss of the references.
"""

from typing import NamedTuple

from data_efficient.evaluation.measures import Better


class Metric(NamedTuple):
  """How a metric is called, and which way it improves.

  Attributes:
    title: in tables.
    axis: of a figure.
    better: which way.
  """

  title: str
  axis: str
  better: Better


def _lower(title: str) -> Metric:
  return Metric(title, f"{title.lower()}, nats a token", Better.LOWER)


def _higher(title: str) -> Metric:
  return Metric(title, title, Better.HIGHER)


# In the order of tables; the first that was measured leads the report.
METRICS = {
  "loss": _lower("Loss on answers"),
  "watched_loss": _lower("Loss along training"),
  "watched_in_context_loss": _lower("Loss with examples"),
  "rouge1": _higher("ROUGE-1"),
  "rougeL": _higher("ROUGE-L"),
  "similarity": _higher("Embedding similarity"),
  "exact": _higher("Exact accuracy"),
  "watched_accuracy": _higher("Token accuracy"),
}
