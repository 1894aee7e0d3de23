# SPDX-License-Identifier: Apache-2.0
"""The writer of utility kernels, block by block, in any order."""

from typing import Any

import numpy as np
import pyarrow as pa

from data_efficient.data import artifacts, utility_blocks, utility_kernels
from data_efficient.data.artifacts import ArtifactError
from data_efficient.data.utility_blocks import Axis, PairStatus, Place


class UtilityKernelWriter:
  """Writes a utility kernel block by block, and resumes.

  Args:
    directory: where it goes.
    identity: {"targets", "examples": their files; "scorer", "numerics", …};
      the block's size is added.
    targets: the records of the rows.
    examples: the records of the columns.
    block: targets and examples of a block, from 1.
    member: which of several processes that write it together, see
      `artifacts.Writer`.

  Raises:
    ArtifactError: no target or no example, another writer works there, or a
      kernel of another identity lies there; names what differs.
  """

  def __init__(
    self,
    directory: artifacts.PathLike,
    *,
    identity: dict[str, Any],
    targets: Axis,
    examples: Axis,
    block: tuple[int, int],
    member: int = 0,
  ):
    self._shape = (len(targets.statuses), len(examples.statuses))
    if not all(self._shape) or min(block) < 1:
      raise ArtifactError(
        f"{directory}: {self._shape[0]} targets and {self._shape[1]} examples "
        f"in blocks of {block[0]} × {block[1]}: expected at least one of each"
      )
    self._targets, self._examples = targets, examples
    self._places = utility_blocks.places(self._shape, block)
    self._writer = artifacts.Writer(
      directory,
      kind=utility_kernels.KIND,
      identity={**identity, "block": list(block)},
      member=member,
    )
    if member == 0 and not self.complete:
      for name, axis in (("target", targets), ("example", examples)):
        part = utility_kernels.TABLES[name]
        if not self._writer.has(part):
          self._writer.write_table(part, _table(axis))

  @property
  def complete(self) -> bool:
    """Whether nothing is left to do."""
    return self._writer.complete

  def missing(self) -> list[Place]:
    """Returns the blocks that are still to be written."""
    return [at for at in self._places if not self._writer.has(at.part)]

  def alone(self) -> np.ndarray | None:
    """Returns what `write_alone` wrote, if it did."""
    self._writer.gather()
    if not self._writer.has(utility_kernels.ALONE):
      return None
    data = self._writer.manifest.read_bytes(utility_kernels.ALONE)
    return np.frombuffer(data, "<f4")

  def write_alone(self, distances: np.ndarray) -> None:
    """Writes d(y | x) of each target without an example, float32 [targets]."""
    data = np.ascontiguousarray(distances, "<f4").tobytes()
    self._writer.write_bytes(utility_kernels.ALONE, data)

  def write(
    self,
    place: Place,
    values: np.ndarray,
    *,
    exact: np.ndarray | None = None,
    predicted: np.ndarray | None = None,
  ) -> None:
    """Writes one block.

    Args:
      place: one of `missing()`.
      values: U, float32 [targets, examples]; what stands in a row or column
        that is not scorable is dropped.
      exact: which of them a model was asked for, bool [targets, examples];
        None: all.
      predicted: which of the others have a prediction, bool [targets,
        examples]; None: none. A record and itself, or a copy, have none.

    Raises:
      ArtifactError: another shape.
    """
    if values.shape != place.shape:
      raise ArtifactError(
        f"{self._writer.directory}, {place.part}: values of shape "
        f"{values.shape}, expected {place.shape}"
      )
    statuses = self._statuses(place)
    asked = statuses != PairStatus.UNSCORABLE
    if exact is not None:
      others = asked & ~exact
      if predicted is not None:
        guessed = others & predicted & (statuses == PairStatus.SCORED)
        statuses = np.where(guessed, PairStatus.PREDICTED, statuses)
        others &= ~guessed
      statuses = np.where(others, PairStatus.NOT_COMPUTED, statuses)
      asked &= ~others
    lost = asked & ~np.isfinite(values)
    statuses = np.where(lost, PairStatus.NON_FINITE, statuses)
    without = np.isin(statuses, utility_blocks.WITHOUT_VALUE)
    kept = np.where(without, np.float32(np.nan), values)
    self._writer.write_bytes(
      place.part,
      utility_blocks.packed(kept, statuses),
      scored=int((statuses == PairStatus.SCORED).sum()),
      non_finite=int(lost.sum()),
    )

  def finish(self, **summary: Any) -> None:
    """Marks the kernel as complete.

    Args:
      **summary: JSON-able figures to keep in the manifest.

    Raises:
      ArtifactError: blocks are missing.
    """
    self._writer.gather()
    missing = self.missing()
    if missing or not self._writer.has(utility_kernels.ALONE):
      raise ArtifactError(
        f"{self._writer.directory}: {len(missing)} of {len(self._places)} "
        "blocks are missing: run the same command again"
      )
    facts = self._writer.manifest.parts.values()
    self._writer.finish(
      **summary,
      shape=list(self._shape),
      scored=sum(found.get("scored", 0) for found in facts),
      non_finite=sum(found.get("non_finite", 0) for found in facts),
    )

  def close(self) -> None:
    """Gives the directory free for another writer."""
    self._writer.close()

  def __enter__(self) -> "UtilityKernelWriter":
    return self

  def __exit__(self, *unused: object) -> None:
    self.close()

  def _statuses(self, place: Place) -> np.ndarray:
    """A `PairStatus` for each pair of a block, as far as records tell."""
    rows, columns = self._targets, self._examples
    found = np.full(place.shape, PairStatus.SCORED, np.uint8)
    equal = np.equal.outer(
      rows.fingerprints[place.targets], columns.fingerprints[place.examples]
    )
    found[equal] = PairStatus.DUPLICATE
    same = np.equal.outer(
      rows.positions[place.targets], columns.positions[place.examples]
    ) & np.equal.outer(
      rows.contents[place.targets], columns.contents[place.examples]
    )
    found[equal & same] = PairStatus.SELF
    found[~rows.scorable[place.targets]] = PairStatus.UNSCORABLE
    found[:, ~columns.scorable[place.examples]] = PairStatus.UNSCORABLE
    return found


def _table(axis: Axis) -> pa.Table:
  return pa.table(
    {
      "file": pa.array(axis.files, pa.string()),
      "content": axis.contents,
      "position": axis.positions,
      "fingerprint": axis.fingerprints,
      "status": pa.array(axis.statuses, pa.string()),
    }
  )
