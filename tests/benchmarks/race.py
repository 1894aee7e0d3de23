# SPDX-License-Identifier: Apache-2.0
"""The C++ code of RACE, compiled from a checkout of somebody else's.

Only the few lines that call it are ours.
"""

import ctypes
import os
import pathlib
import subprocess
import tempfile

import numpy as np

_GLUE = """
#include <vector>
#include "L2Hash.h"
#include "RACE.h"

struct Both { L2Hash hash; RACE race; size_t d; std::vector<int> codes; };

extern "C" {
void* make(size_t d, size_t rows, size_t buckets, double width) {
  return new Both{L2Hash(d, rows, width), RACE(rows, buckets), d,
                  std::vector<int>(rows)};
}
void walk(void* it, const double* rows, size_t n, double* sums) {
  Both& both = *static_cast<Both*>(it);
  for (size_t i = 0; i < n; i++) {
    std::vector<double> one(rows + i * both.d, rows + (i + 1) * both.d);
    both.hash.getHash(one, both.codes.data());
    if (sums) sums[i] = both.race.query(both.codes.data());
    else both.race.add(both.codes.data());
  }
}
}
"""
_FLAGS = ("-O3", "-std=c++11", "-fopenmp", "-shared", "-fPIC")  # its own


class Race:
  """RACE's hashes and counters for some vectors."""

  def __init__(self, library: ctypes.CDLL, vectors, options, width: float):
    library.make.restype = ctypes.c_void_p
    library.make.argtypes = [*[ctypes.c_size_t] * 3, ctypes.c_double]
    library.walk.argtypes = [
      *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    ]
    self._library = library
    self._vectors = np.ascontiguousarray(vectors, np.float64)
    self._both = library.make(
      options.dimensions, options.rows, options.buckets, width
    )

  def update(self) -> None:
    self._walk(None)

  def query(self) -> np.ndarray:
    sums = np.zeros(len(self._vectors))
    self._walk(sums.ctypes.data)
    return sums

  def _walk(self, sums: int | None) -> None:
    rows = self._vectors
    self._library.walk(self._both, rows.ctypes.data, len(rows), sums)


def compiled(vectors: np.ndarray, options, width: float) -> Race | None:
  """The peer; None unless RACE_PATH names its checkout."""
  root = os.environ.get("RACE_PATH")
  if not root:
    return None
  checkout = pathlib.Path(root)
  with tempfile.TemporaryDirectory() as folder:
    build = pathlib.Path(folder)
    (build / "glue.cpp").write_text(_GLUE)
    # Included, and not called, by what is compiled; some copies lack it.
    (build / "MurmurHash.h").touch()
    sources = [checkout / "src" / name for name in ("L2Hash.cpp", "RACE.cpp")]
    subprocess.run(
      [
        *("g++", *_FLAGS, "-I", checkout / "include", "-I", build),
        *(*sources, build / "glue.cpp", "-o", build / "race.so"),
      ],
      check=True,
    )
    return Race(ctypes.CDLL(str(build / "race.so")), vectors, options, width)
