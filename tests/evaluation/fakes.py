# SPDX-License-Identifier: Apache-2.0
"""Run directories with made-up numbers, as training would have written them.

The numbers are drawn from formulas here and mean nothing; they only look like
training, so that the report can be tested and looked at.
"""

import json
import pathlib

import numpy as np

COMPARED_BY = {
  "network": {"emb_dim": 96, "num_heads": 3},
  "task_feature_lengths": {"inputs": 192, "targets": 44},
  "vocabulary": "0f",
  "evaluation_sets": {"hq": "1a", "in_distribution": "2b"},
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"

# sampler -> (seeds, kept fraction, final HQ loss, final in-distribution loss)
SAMPLERS = {
  "full": (2, 1.0, 5.142, 5.040),
  "random": (3, 0.2, 5.128, 5.051),
  "ask_llm": (3, 0.2, 4.953, 5.147),
  "density": (2, 0.2, 5.121, 5.060),
  "quality_classifier": (2, 0.2, 4.929, 5.139),
}


def write_run(directory, *, facts=None, evaluations=None, lines=()):
  """Writes one run directory; `facts` and `lines` change what is usual.

  `evaluations` maps an evaluation set to (step, loss) pairs.
  """
  directory = pathlib.Path(directory)
  directory.mkdir(parents=True)
  usual = {
    "sampler": "random",
    "budget": 0.2,
    "seed": 0,
    "steps": 30,
    "batch_size": 16,
    "selection": "../selections/random",
    "kept_records": 1640,
    "kept_tokens": 214000,
    "kept_fraction": 0.2,
    "epochs": 1.4,
    "training_seconds": 34.5,
    "engine": "local",
    "complete": True,
    "commit": COMMIT,
    "compared_by": COMPARED_BY,
  }
  (directory / "run.json").write_text(json.dumps(usual | (facts or {})))
  pairs = [(0, 9.0), (10, 7.0), (20, 6.0), (30, 5.0)]
  if evaluations is None:
    evaluations = {"hq": pairs, "in_distribution": pairs}
  rows = [{"step": 5, "loss": 8.0, "learning_rate": 0.01, "tokens": 9}]
  rows += [
    {"step": step, "evaluation": name, "loss": loss, "accuracy": 0.1}
    for name, found in evaluations.items()
    for step, loss in found
  ]
  text = "".join(json.dumps(row) + "\n" for row in rows)
  text += "".join(line + "\n" for line in lines)
  (directory / "metrics.jsonl").write_text(text)
  return directory


def _curve(final, *, generator, shift):
  steps = np.arange(0, 301, 20)
  fall = np.exp(-((steps / 45.0) ** 0.75))
  end = fall[-3:].mean()
  losses = final + shift + (9.05 - final) * (fall - end) / (1 - end)
  noisy = losses + generator.normal(0, 0.012, len(steps))
  return [
    (int(s), round(float(v), 4)) for s, v in zip(steps, noisy, strict=True)
  ]


def write_experiment(root):
  """Five samplers, two or three seeds each; seeds shift all of them alike."""
  directories = []
  for sampler, (seeds, kept, hq, in_distribution) in SAMPLERS.items():
    for seed in range(seeds):
      generator = np.random.default_rng([seed, *sampler.encode()])
      shift = (-0.03, 0.035, 0.004)[seed] + generator.normal(0, 0.012)
      facts = {
        "sampler": sampler,
        "budget": None if sampler == "full" else kept,
        "seed": seed,
        "steps": 300,
        "kept_fraction": kept,
        "kept_records": round(8200 * kept),
        "kept_tokens": round(1_070_000 * kept),
        "epochs": round(0.57 / kept, 3),
        "training_seconds": round(36 + float(generator.normal(0, 1)), 2),
      }
      curves = {
        "hq": _curve(hq, generator=generator, shift=shift),
        "in_distribution": _curve(
          in_distribution, generator=generator, shift=shift
        ),
      }
      directory = pathlib.Path(root) / f"{sampler}-{seed}"
      write_run(directory, facts=facts, evaluations=curves)
      directories.append(directory)
  return directories


def describe_experiment():
  """The dictionaries that come with the runs: judge, costs, corpus, ..."""
  sources = {"numpy": 1400, "scipy": 2100, "stdlib": 3100, "c4 & co": 1600}
  weights = {"weight_max": 3.1e-3, "weight_min": 2.2e-4}
  uniform = {"weight_max": 1.0, "weight_min": 1.0}
  rates = {
    "random": (0.20, 0.20, 0.20),
    "ask_llm": (0.14, 0.23, 0.11),
    "density": (0.12, 0.24, 0.37),
    "quality_classifier": (0.13, 0.23, 0.09),
  }
  selections = {
    sampler: {
      "sampler": sampler,
      "budget": 0.2,
      "kept_records": 1640,
      "kept_tokens": 214000,
      "threshold": None if sampler == "random" else -0.6931,
      "effective_sample_size": 5200.0 if sampler == "density" else 8200.0,
      "effective_share": 0.63 if sampler == "density" else 1.0,
      "sources": {name: count // 5 for name, count in sources.items()},
      "inclusion": dict(
        zip(("duplicated", "unique", "rare"), rate, strict=True)
      ),
      **(weights if sampler == "density" else uniform),
    }
    for sampler, rate in rates.items()
  }
  return {
    "judge": {
      "name": "stand_in",
      "auc": {
        "reference_against_damage": 0.957,
        "reference_against_pool": 0.83,
      },
      "steps": 400,
    },
    "scoring_seconds": {
      "ask_llm": {"teach_judge": 65.2, "score": 43.4},
      "density": {"embed": 19.7, "score": 2.3},
      "quality_classifier": {"score": 4.1},
    },
    "corpus": {
      "name": "installed_text",
      "fingerprint": "9f3a6c1e0b7d5542",
      "records": 10321,
      "splits": {
        "pool": 8200,
        "reference": 1200,
        "hq": 500,
        "in_distribution": 421,
      },
      "sources": sources,
    },
    "selections": selections,
    "command": "make quickstart",
    "commit": COMMIT,
  }


HOSTILE = (
  "<script>alert('x')</script><img src=x onerror=alert(1)>\n"
  "</pre></style>\u202egnp.exe\u202c \x00\x1b[31m &amp; \ud800 \u200b"
)


def describe_examples():
  """Examples a sampler, some of them hostile."""
  texts = {
    "highest": (
      "numpy.linalg.solve(a, b)\n\nSolve a linear matrix equation, or system "
      "of linear scalar equations. Computes the exact solution, x, of the "
      "well-determined, i.e., full rank, linear matrix equation ax = b."
    ),
    "threshold": "Return the number of elements in the container. " * 30,
    "lowest": HOSTILE + "A" * 5000,
  }
  return {
    sampler: {
      side: [
        {
          "id": f"numpy/linalg.py__{number}",
          "source": "<b>numpy</b>",
          "score": score,
          "text": text,
          "where": where,
        }
        for number, (where, text) in enumerate(texts.items())
      ]
      for side, score in (("kept", -0.1053), ("dropped", -2.31))
    }
    for sampler in ("ask_llm", "density", "quality_classifier", "random")
  }
