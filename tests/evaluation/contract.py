# SPDX-License-Identifier: Apache-2.0
"""results.json written by hand, with everything that it may hold.

The numbers follow formulas here and mean nothing. What the report computes
from runs is tested on `fakes`; this is for what it draws and writes.
"""

import itertools

SAMPLERS = ("random", "quality_classifier", "ask_llm", "density")
# What a sampler's losses lie above or below Random's.
_BETTER = {"full": -0.05, "ask_llm": -0.12, "quality_classifier": -0.06}
_SCORING = {"ask_llm": 120.0, "density": 20.0, "quality_classifier": 6.0}
_SUITES = ("GLUE", "SuperGLUE", "CNN/DM", "SQuAD", "MMLU", "BBH")


def results(
  *,
  networks=("T5-Small", "T5-Large"),
  samplers=SAMPLERS,
  budgets=(0.4, 0.6),
  seeds=(0, 1, 2),
  evaluations=16,
  configuration_lines=60,
):
  """Every key: a run for each network, sampler, budget and seed, and Full."""
  groups = [
    (network, sampler, budget)
    for network in networks
    for sampler, budget in (
      ("full", 1.0),
      *itertools.product(samplers, budgets),
    )
  ]
  rows = [
    _row(*group, larger=networks[-1] != group[0], seeds=seeds)
    for group in groups
  ]
  runs = [
    _run(*group, seed, evaluations=evaluations)
    for group in groups
    for seed in seeds
  ]
  seconds = [
    {k: run[k] for k in ("sampler", "budget", "seed")} | {"seconds": 60.0}
    for run in runs
  ]
  targets = {
    network: {
      "hq_loss": _loss(network, "full", 1.0),
      "in_distribution_loss": _loss(network, "full", 1.0) + 0.1,
    }
    for network in networks
  }
  return {
    "steps": 300,
    "batch_size": 16,
    "interval_level": 0.95,
    "networks": [
      _network(name, number) for number, name in enumerate(networks)
    ],
    "target": {**targets[networks[0]], "seeds": list(seeds)},
    "targets": targets,
    "runs": runs,
    "samplers": rows,
    "random_missing": [],
    "left_out": [],
    "pareto": {name: _pareto(name, rows) for name in networks},
    "agreement": {
      "names": ["ask_llm", "density", "quality_classifier"],
      "tau": [[1.0, -0.62, 0.07], [-0.62, 1.0, None], [0.07, None, 1.0]],
    },
    "configurations": _configurations(runs, configuration_lines),
    "judge": {"name": "stand_in", "auc": {"reference_against_pool": 0.83}},
    "scoring_seconds": {
      sampler: {"stages": {"score": cost}, "total": cost}
      for sampler, cost in _SCORING.items()
      if sampler in samplers
    },
    "training_seconds": {
      "runs": seconds,
      "mean": 60.0,
      "total": 60.0 * len(seconds),
    },
    "corpus": {
      "name": "installed_text",
      "fingerprint": "9f3a6c1e0b7d5542",
      "records": 10321,
      "splits": {"pool": 8200, "hq": 500},
      "sources": {"numpy": 1400, "c4 & co": 1600},
    },
    "selections": {},
    "command": "make quickstart",
    "commit": "0123456789abcdef",
  }


def _network(name, number):
  inner = 2_100_000 * 12**number
  return {
    "network": name,
    "non_embedding_parameters": inner,
    "parameters": 2 * inner,
    "runs": 27,
  }


def _loss(network, sampler, budget):
  size = 0.4 if network == "T5-Large" else 0.0
  less = 0.0 if sampler == "full" else 0.1 * (1.0 - budget)
  return 5.0 - size + less + _BETTER.get(sampler, 0.0)


def _spread(mean, half, **others):
  return {"mean": mean, "interval": [mean - half, mean + half], **others}


def _row(network, sampler, budget, *, larger, seeds):
  loss = _loss(network, sampler, budget)
  random = _loss(network, "random", budget)
  selected = sampler not in ("full", "random")
  difference = {
    name: _spread(
      loss - random, 0.03, std=0.01, n=len(seeds), seeds=list(seeds)
    )
    for name in ("hq_loss", "in_distribution_loss")
  }
  reached = len(seeds) if loss < 5.0 else 1
  speedup = {"mean": None, "std": None, "interval": None}
  full = _loss(network, "full", 1.0)
  verdict = "beats" if loss + 0.03 < random else "undecided"
  return {
    "network": network,
    "sampler": sampler,
    "budget": budget,
    "seeds": list(seeds),
    "kept_fraction": budget,
    "kept_tokens": round(1_070_000 * budget),
    "kept_records": round(8200 * budget),
    "epochs": 0.57 / budget,
    "hq_loss": {"mean": loss, "std": 0.02, "n": len(seeds)},
    "in_distribution_loss": {"mean": loss + 0.1, "std": 0.02, "n": len(seeds)},
    "hq_perplexity": _spread(30 * loss, 2.0),
    "in_distribution_perplexity": _spread(33 * loss, 2.0),
    "against_random": difference if selected else None,
    "against_full": None if sampler == "full" else difference,
    "against_quality_classifier": None,
    "verdict": verdict if selected else None,
    "steps_to_full": {"mean": None, "reached": reached, "total": len(seeds)},
    "speedup": {**speedup, "reached": reached, "total": len(seeds)},
    "training_seconds": 60.0,
    "convergence": {
      metric: _convergence(sampler, loss, full, reached, len(seeds))
      for metric in ("hq_loss", "in_distribution_loss", "hq_accuracy")
    },
    "over_scaling": {
      "hq_loss": _spread(-100 * (loss - full) / 0.4, 12.0),
      "in_distribution_loss": {"mean": None, "interval": None},
    }
    if larger
    else None,
    "over_scaling_average": {**_spread(8.5, 4.0), "metrics": 9}
    if larger
    else None,
    "effective_model_size": {
      "parameters": 2.1e6 * 12 ** (-2 * (loss - 5.0)),
      "interval": [1.1e6, None if sampler == "ask_llm" else 9e6],
      "extrapolated": sampler == "ask_llm",
      "reason": None,
    }
    if larger
    else {"parameters": None, "reason": "no larger network was trained."},
    "suites": {
      name: _spread(0.5 + 0.1 * (5.0 - loss), 0.02) for name in _SUITES
    },
  }


def _convergence(sampler, loss, full, reached, total):
  share = min(max(0.95 + 2.0 * (loss - full), 0.3), 1.0)

  def of(whole, added=0.0):
    mean = whole * share + added
    return {
      "reached": reached,
      "total": total,
      "restricted_mean": mean,
      "restricted_interval": [mean - 0.15 * whole, mean + 0.15 * whole],
      "speedup_mean": 1.0 - share,
      "speedup_interval": [0.85 - share, 1.15 - share],
    }

  scoring = _SCORING.get(sampler, 0.0)
  return {
    "steps": of(300.0),
    "tokens": of(300.0 * 16 * 192),
    "seconds": of(60.0),
    "seconds_with_scoring": of(60.0, scoring),
    "seconds_with_scoring_amortised": of(60.0, scoring / 6),
  }


def _run(network, sampler, budget, seed, *, evaluations):
  last = evaluations - 1
  steps = [300 * index // last for index in range(evaluations)]
  end = _loss(network, sampler, budget) + 0.01 * seed
  losses = [end + 4.0 * (1.0 - step / 300) ** 3 for step in steps]
  return {
    "network": network,
    "sampler": sampler,
    "budget": budget,
    "seed": seed,
    "kept_fraction": budget,
    "kept_tokens": round(1_070_000 * budget),
    "kept_records": round(8200 * budget),
    "epochs": 0.57 / budget,
    "training_seconds": 60.0,
    "commit": "0123456789ab",
    "steps": steps,
    "hq_loss": losses,
    "in_distribution_loss": [loss + 0.1 for loss in losses],
    "final_hq_loss": end,
    "final_in_distribution_loss": end + 0.1,
    "steps_to_full": None if seed else 250.0,
    "speedup": None if seed else 0.17,
    "tokens_to_full": None,
    "scoring_seconds": _SCORING.get(sampler, 0.0),
    "seconds_to_full": None,
    "seconds_to_full_with_scoring": None,
    "amortised": 1.0,
  }


def _pareto(network, rows):
  def points(cost):
    found = [
      {
        "sampler": row["sampler"],
        "budget": row["budget"],
        "x": cost(row),
        "y": row["hq_loss"]["mean"],
        "interval": [row["hq_loss"]["mean"] - 0.05, row["hq_loss"]["mean"] + 1],
      }
      for row in rows
      if row["network"] == network
    ]
    return [point | {"on_front": _on_front(point, found)} for point in found]

  return {
    "data": points(lambda row: row["kept_tokens"]),
    "accelerator_time": points(
      lambda row: 60.0 + _SCORING.get(row["sampler"], 0.0)
    ),
  }


def _on_front(point, points):
  return not any(
    (other["x"], other["y"]) != (point["x"], point["y"])
    and other["x"] <= point["x"]
    and other["y"] <= point["y"]
    for other in points
  )


def _configurations(runs, lines):
  """A text a run, all of them alike but for what a run is about."""
  shared = [
    f"module.Class.field_{number} = {number}" for number in range(lines)
  ]
  texts, entries = [], []
  for number, run in enumerate(runs):
    own = [
      f"SAMPLER = '{run['sampler']}'",
      f"SEED = {run['seed']}",
      f"NETWORK = '{run['network']}'",
    ]
    texts.append("\n".join([*own, *shared, ""]))
    entries.append(
      {k: run[k] for k in ("sampler", "budget", "seed", "network")}
      | {"run": f"run-{number}", "text": number}
    )
  return {"texts": texts, "runs": entries, "missing": []}
