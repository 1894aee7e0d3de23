# SPDX-License-Identifier: Apache-2.0
"""Spherical k-means beside faiss: 1,000 clusters of 200,000 vectors of 384.

Both take as many steps from first centroids of their own, with as many threads
as there are cores; the mean cosine of a vector and its centroid says how good
the clusters are. Vectors are drawn round 4,000 centres of unequal sizes.
"""

import argparse
import os
import statistics
import time

import faiss
import jax
import numpy as np

from data_efficient.kernels import clustering
from data_efficient.scorers import clusters
from tests.benchmarks import report, train_step


def main() -> None:
  """Measures both in turn, prints."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--vectors", type=int, default=200_000)
  parser.add_argument("--dimensions", type=int, default=384)
  parser.add_argument("--clusters", type=int, default=1000)
  parser.add_argument("--iterations", type=int, default=10)
  parser.add_argument("--repeats", type=int, default=2)
  parser.add_argument("--block", type=int, default=512)
  options = parser.parse_args()
  vectors = _vectors(options)
  faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
  product = train_step.gemm(2048, "float32")
  product(1)
  found: dict[str, list[np.ndarray]] = {"ours": [], "faiss": []}
  _ours(vectors[: 4 * options.clusters], options)  # compiles

  def timed(name, fit):
    def measure() -> float:
      began = time.perf_counter()
      found[name].append(fit(vectors, options))
      return time.perf_counter() - began

    return measure

  _ours(vectors, options)
  seconds = report.alternating(
    {
      "ours": timed("ours", _ours),
      "faiss": timed("faiss", _faiss),
      "GEMM": lambda: train_step.timed(product, 2 * 2048**3, seconds=2.0),
    },
    options.repeats,
  )
  _print(seconds, found, vectors, options)


def _vectors(options: argparse.Namespace) -> np.ndarray:
  random = np.random.default_rng(0)
  centres = random.normal(size=(4000, options.dimensions)).astype(np.float32)
  weights = 1 / np.arange(10, 4010)
  chosen = random.choice(4000, options.vectors, p=weights / weights.sum())
  noise = random.normal(size=(options.vectors, options.dimensions))
  return clusters.unit_rows(centres[chosen] + noise.astype(np.float32))


def _means(options: argparse.Namespace) -> clusters.KMeans:
  return clusters.KMeans(
    clusters=options.clusters,
    sample_size=options.vectors,
    iterations=options.iterations,
    rounds=16,
    seed=0,
    block=options.block,
  )


def _ours(vectors: np.ndarray, options: argparse.Namespace) -> np.ndarray:
  return _means(options).cluster(vectors, name="kmeans")


def _faiss(vectors: np.ndarray, options: argparse.Namespace) -> np.ndarray:
  means = faiss.Kmeans(
    options.dimensions,
    options.clusters,
    niter=options.iterations,
    spherical=True,
    seed=0,
    max_points_per_centroid=len(vectors),
  )
  means.train(vectors)
  return means.centroids


def _cosine(centroids: np.ndarray, vectors: np.ndarray, block: int) -> float:
  near = [
    np.asarray(clustering.assign(centroids, vectors[at : at + block]).cosine)
    for at in range(0, len(vectors), block)
  ]
  return float(np.concatenate(near).mean())


def _print(seconds, found, vectors, options) -> None:
  cosines = {
    name: statistics.mean(
      _cosine(centroids, vectors, options.block) for centroids in made
    )
    for name, made in found.items()
  }
  gemm = statistics.median(seconds["GEMM"])
  # The products of all vectors and all centroids.
  work = 2.0 * len(vectors) * options.clusters * options.dimensions
  limit = work * options.iterations / gemm
  report.table(
    f"kmeans: {len(vectors):,} vectors, {options.clusters:,} clusters,"
    f" {options.iterations} steps, seeding included",
    ["", "seconds: median (range)", "of the GEMM rate", "mean cosine"],
    [
      (
        name,
        report.spread(seconds[name]),
        limit / statistics.median(seconds[name]),
        cosines[name],
      )
      for name in ("ours", "faiss")
    ],
  )
  ours, peer = (statistics.median(seconds[n]) for n in ("ours", "faiss"))
  # Squared distance to the centroid, summed: 2 (1 − cos) each.
  inertia = (1 - cosines["ours"]) / (1 - cosines["faiss"])
  report.last_line(
    "kmeans",
    ours=ours,
    peer=peer,
    ratio=statistics.median(report.paired(seconds["faiss"], seconds["ours"])),
    limit_fraction=limit / ours,
    inertia_ratio=inertia,
    devices=len(jax.devices()),
  )


if __name__ == "__main__":
  main()
