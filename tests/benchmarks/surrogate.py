# SPDX-License-Identifier: Apache-2.0
"""Utilities by approximation beside exact ones: time, correlation, selection.

Short real instructions for a small trained Llama, all with all: exactly; by
each target's neighbours; by landmarks; and by the influence network of NN-CIFT
with its settings. Each is a run of the verb `utility`, from records to kernel,
compilation included; the verb `fidelity` compares. The model is so small that
what an approximation does beside computing pairs weighs as much as it ever can.

With --output what is there already is kept, and an exact run that was stopped
goes on.
"""

import argparse
import gzip
import json
import pathlib
import tempfile
from collections.abc import Iterator, Mapping

from data_efficient import main as verbs
from tests import stories
from tests.benchmarks import report

_SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared"
_SOURCES = ("dolly", "hotpotqa_dev", "p3_t0_sample")
_GIN = "gin/scorers/utility_{}.gin"


def _records(count: int, characters: int) -> list[dict[str, str]]:
  """Short instructions of several sources, a few of each in turn."""
  found: list[dict[str, str]] = []
  streams = [_short(source, characters) for source in _SOURCES]
  while len(found) < count:
    before = len(found)
    for stream in streams:
      found += [row for row in (next(stream, None),) if row]
    if len(found) == before:
      raise SystemExit(
        f"{len(found)} records of {characters} letters, expected {count}"
      )
  return found[:count]


def _short(source: str, characters: int) -> Iterator[dict[str, str]]:
  path = _SHARED / f"data/instruct/{source}.jsonl.gz"
  with gzip.open(path, "rt", encoding="utf-8") as file:
    for line in file:
      row = json.loads(line)
      if row.get("input") or len(row["output"]) < 4:
        continue
      if len(row["instruction"]) + len(row["output"]) <= characters:
        yield {name: row[name] for name in ("instruction", "output")}


def _run(verb: str, gin_files: list[str], bindings: Mapping[str, object]):
  words = [f"--gin_file={path}" for path in gin_files]
  words += [f"--gin.{name}={value!r}" for name, value in bindings.items()]
  if verbs.main([verb, *words]):
    raise SystemExit(f"{verb} failed")


def _kernel(name: str, root: pathlib.Path, options, **more: object) -> None:
  files = ["gin/runs/utility.gin", "gin/scorers/templates/bare.gin"]
  if name != "exact":
    files += [options.embedder, _GIN.format(name)]
  # Letters are about half as many pieces; a record and its template fit.
  example = options.characters
  bindings = {
    **{"POOL": f"{root}/pool.jsonl", "JUDGE_CHECKPOINT": f"{root}/judge"},
    **{"OUTPUT": f"{root}/{name}", "BLOCK": (options.records, 64)},
    **{"MAX_TOKENS": 2 * example, "MAX_EXAMPLE_TOKENS": example},
    **{"BATCH_TOKENS": options.batch_tokens},
  }
  _run("utility", files, bindings | more)


def main() -> None:
  """Makes all kernels, compares them, prints."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--records", type=int, default=2000)
  parser.add_argument("--characters", type=int, default=96)
  parser.add_argument("--batch_tokens", type=int, default=4096)
  parser.add_argument("--fraction", type=float, default=0.05)
  parser.add_argument("--neighbours", type=int, default=64)
  parser.add_argument("--landmarks", type=int, default=64)
  parser.add_argument("--landmark_targets", type=int, default=64)
  parser.add_argument(
    "--embedder", default="gin/scorers/latent_semantic.gin", help="a gin file"
  )
  parser.add_argument("--output", type=pathlib.Path, default=None)
  options = parser.parse_args()
  if options.output:
    options.output.mkdir(parents=True, exist_ok=True)
    _measure(options.output, options)
    return
  with tempfile.TemporaryDirectory() as root:
    _measure(pathlib.Path(root), options)


def _measure(root: pathlib.Path, options: argparse.Namespace) -> None:
  if not (root / "judge").exists():
    stories.save(_SHARED / "models", root / "judge")
  rows = _records(options.records, options.characters)
  lines = "".join(json.dumps(row) + "\n" for row in rows)
  (root / "pool.jsonl").write_text(lines)
  settings = {
    "exact": {},
    # An example has about as many targets as a target has neighbours.
    "neighbours": {"NEIGHBOURS": options.neighbours},
    "landmarks": {
      "LANDMARKS": options.landmarks,
      "LANDMARK_TARGETS": options.landmark_targets,
    },
    "influence_network": {"INFLUENCE_FRACTION": options.fraction},
  }
  for name, more in settings.items():
    _kernel(name, root, options, **more)
  directories = {name: f"{root}/{name}" for name in settings if name != "exact"}
  _run(
    "fidelity",
    ["gin/runs/fidelity.gin"],
    {
      **{"EXACT": f"{root}/exact", "APPROXIMATIONS": directories},
      "OUTPUT": f"{root}/fidelity",
    },
  )
  _print(json.loads((root / "fidelity" / "fidelity.json").read_text()), options)


def _print(found: Mapping, options: argparse.Namespace) -> None:
  exact = found["exact"]["seconds"]
  rows = {row["name"]: row for row in found["approximations"]}
  last = {name: row["selections"][-1] for name, row in rows.items()}
  share = last["neighbours"]["budget"]
  random = {
    name: one["objective_of_random"]["mean"] / one["objective_of_exact"]
    for name, one in last.items()
  }
  report.table(
    f"surrogate: {options.records} × {options.records}, exact in {exact:,.1f} s"
    f"; sets of {share:.0%}, beside random ones",
    ["", "s", "times faster", "Pearson", "in common", "of exact's value"],
    [
      (
        name,
        row["seconds"],
        exact / row["seconds"],
        row["held_back"]["pearson"]["value"] if row["held_back"] else "–",
        last[name]["jaccard"],
        last[name]["share_of_exact"]["value"],
      )
      for name, row in rows.items()
    ]
    + [
      (
        "random",
        *("–", "–", "–"),
        last["neighbours"]["jaccard_of_random"],
        random["neighbours"],
      )
    ],
  )
  network, one = rows["influence_network"], last["influence_network"]
  report.last_line(
    "surrogate",
    ours=network["seconds"],
    peer=exact,
    ratio=exact / network["seconds"],
    limit_fraction=None,
    pearson=network["held_back"]["pearson"]["value"],
    pearson_within_targets=network["held_back"]["pearson_within_targets"][
      "value"
    ],
    overlap=one["jaccard"],
    random_overlap=one["jaccard_of_random"],
    value=one["share_of_exact"]["value"],
    random_value=random["influence_network"],
    landmarks_pearson=rows["landmarks"]["held_back"]["pearson"]["value"],
    landmarks_value=last["landmarks"]["share_of_exact"]["value"],
    neighbours_value=last["neighbours"]["share_of_exact"]["value"],
    records=options.records,
  )


if __name__ == "__main__":
  main()
