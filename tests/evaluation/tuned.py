# SPDX-License-Identifier: Apache-2.0
"""An experiment on instructions written by hand, without a model."""

import dataclasses
import json
import pathlib

import numpy as np

from data_efficient.data import selections

SHARDS = {"a.jsonl": 6, "b.jsonl": 4}
CORPUS = {
  **{"name": "instructions", "fingerprint": "f00d", "records": 10},
  "shards": SHARDS,
}


@dataclasses.dataclass
class Experiment:
  """Writes selections, runs and responses below a directory."""

  root: pathlib.Path
  corpus: dict = dataclasses.field(default_factory=lambda: dict(CORPUS))

  def select(
    self,
    method,
    budget,
    seed,
    records,
    *,
    name=None,
    tokens=None,
    kind="fraction_of_examples",
  ):
    """Keeps records by their numbers in the whole pool; returns the name."""
    name = name or f"{method}-{budget:g}-{seed}"
    starts = dict(zip(SHARDS, (0, 6), strict=True))
    kept = []
    for shard, count in SHARDS.items():
      own = sorted(n - starts[shard] for n in records)
      own = np.array([n for n in own if 0 <= n < count], np.int64)
      kept.append((shard, own, np.ones(len(own))))
    selections.write(
      self.root / "selections" / name,
      identity={
        "corpus": self.corpus,
        "sampler": method,
        "budget": {"kind": kind, "amount": budget},
        "seed": seed,
      },
      kept=kept,
      shards=SHARDS,
      summary=lambda: {"kept_records": len(records), "kept_tokens": tokens},
    )
    self.spent(f"selections/{name}", 1.0)
    return name

  def run(self, name, loss, *, steps=4, base="llama", **facts):
    """A finished run whose watched loss falls from 3 to `loss`."""
    directory = self.root / "runs" / name
    directory.mkdir(parents=True, exist_ok=True)
    record = {
      **{"complete": True, "steps": steps, "batch_size": 2, "kept_records": 4},
      **{"training_seconds": 10.0, "initial_checkpoint": base},
      **{"compared_by": {"network": "n", "watched": "w"}, **facts},
    }
    (directory / "run.json").write_text(json.dumps(record))
    rows = [
      {"step": step, "evaluation": "watched", "loss": value, "accuracy": 0.5}
      for step, value in ((0, 3.0), (steps, loss))
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (directory / "metrics.jsonl").write_text(lines)

  def respond(self, use, name, *, test="t", **values):
    """Responses with these means."""
    directory = self.root / "responses" / use / name
    (directory / "parts").mkdir(parents=True)
    table = {
      "records": 8,
      "metrics": list(values),
      "overall": {m: {"value": v, "interval": None} for m, v in values.items()},
    }
    (directory / "responses.json").write_text(json.dumps(table))
    identity = {"test": test, "template": "x", "separator": "y"}
    manifest = json.dumps({"identity": identity})
    (directory / "parts" / "manifest.json").write_text(manifest)

  def spent(self, place, seconds):
    """Says what a directory cost."""
    path = self.root / place
    path.mkdir(parents=True, exist_ok=True)
    (path / "cost.json").write_text(json.dumps({"seconds": seconds}))


def small(root):
  """Full, Random and DELIFT at 40%, three seeds, both uses."""
  made = Experiment(root)
  losses = {"full": 2.0, "random": 2.5, "delift": 2.3}
  kept = {
    "full": lambda seed: range(10),
    "random": lambda seed: range(seed, seed + 4),
    "delift": lambda seed: (0, 1, 8, 9),
  }
  for seed in range(3):
    for method, loss in losses.items():
      budget = 1.0 if method == "full" else 0.4
      name = made.select(method, budget, seed, kept[method](seed), tokens=40)
      # DELIFT less Random: -0.2, -0.1, -0.3.
      more = {"delift": (0.0, 0.1, -0.1)}.get(method, (0.0,) * 3)[seed]
      made.run(name, loss + more + 0.01 * seed)
      made.respond("tuned", name, loss=loss + more, exact=1 / loss)
      shift = 0.1 * seed if method == "random" else 0.0
      made.respond("in_context", name, loss=loss + 1 + shift, exact=0.25)
  made.respond("tuned", "base", loss=3.5, exact=0.125)
  return made
