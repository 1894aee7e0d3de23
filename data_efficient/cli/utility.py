# SPDX-License-Identifier: Apache-2.0
"""The verb `utility`: what each record of a pool is worth for each target.

Two sets of instructions and a model to a utility kernel, block by block.
Several processes (`processes`) share the blocks of one kernel: which process
computes a block does not change its bytes.
"""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_efficient import processes
from data_efficient.cli import (
  approximating,
  cost,
  hardware,
  kernel_filling,
  utility_sets,
)
from data_efficient.data import instructions, utility_kernels
from data_efficient.data.utility_blocks import Axis
from data_efficient.scorers import (
  interface,
  pair_tokens,
  pairwise_utility,
  set_utility,
)


def utility(
  *,
  pool: instructions.Instructions,
  targets: instructions.Instructions,
  scorer: pairwise_utility.PairwiseUtility,
  output: str,
  block: Sequence[int],
  approximation: approximating.Approximation | None = None,
  sets: set_utility.Sets | None = None,
  resume_elsewhere: bool = False,
) -> None:
  """Computes the utility of each example of a pool for each target.

  Args:
    pool: the examples, columns of the kernel.
    targets: the rows; may be the pool.
    scorer: how.
    output: directory of the kernel.
    block: targets and examples of a block: what is lost at most when a run is
      killed, and what processes share.
    approximation: which pairs are computed, and what is said of the others;
      None: all are computed.
    sets: in the place of a kernel, examples that are chosen one beside the
      other, all in context (`cli.utility_sets`); None: a kernel.
    resume_elsewhere: whether to go on with a kernel that other hardware began;
      their values agree within 1e-5, not in every bit.

  Raises:
    ValueError: nothing to score (says why), `CorpusError`, `ArtifactError`.
  """
  if sets and approximation:
    raise ValueError("SETS and APPROXIMATION: bind one of them")
  processes.join()
  rows = [scorer.target(one) for one in targets.records]
  context = set_utility.InContext(scorer, sets) if sets else scorer
  columns = [context.example(one) for one in pool.records]
  axes = (
    targets.axis(_statuses("target", rows)),
    pool.axis(_statuses("example", columns)),
  )
  _check_pairs(*axes)
  cut = sum(one.cut for one in columns)
  if cut and processes.is_first():
    print(
      f"{cut:,} of {len(columns):,} examples are cut to "
      f"{context.max_example_tokens} tokens"
    )
  identity = {
    "targets": targets.identity(),
    "examples": pool.identity(),
    "scorer": scorer.identity(),
    "numerics": hardware.numerics(),
  }
  if sets:
    identity |= {"sets": sets.identity(), **utility_sets.kernel_identity(sets)}
  elif approximation:
    identity["approximation"] = approximation.identity()
  if resume_elsewhere:
    kind = utility_sets.KIND if sets else utility_kernels.KIND
    identity = hardware.as_begun(identity, output, kind=kind)
  if sets:
    # A step waits for the one before: there is nothing to share.
    if processes.is_first():
      candidates = utility_sets.shortlist(sets, axes[1])
      task = utility_sets.Task(sets, context, rows, columns, axes, candidates)
      utility_sets.choose(task, identity=identity, output=output)
    return
  work = approximating.Work(
    output=output,
    identity=identity,
    block=tuple(block),
    scorer=scorer,
    axes=axes,
    tokens=(rows, columns),
  )
  if _filled(work, approximation, (targets.records, pool.records)):
    _report(output)


def _filled(
  work: approximating.Work,
  approximation: approximating.Approximation | None,
  records: approximating.Texts,
) -> bool:
  """Makes the kernel; whether this process is to report it."""
  scorer = work.scorer
  with kernel_filling.opened(
    work.output, identity=work.identity, axes=work.axes, block=work.block
  ) as (writer, missing):
    if writer.complete:
      print(f"{work.output}: done before")
      return False
    with cost.measured(work.output):
      with processes.first_alone("distances without examples"):
        alone = _alone(writer, scorer, work.tokens[0])
      if approximation:
        fill = approximating.prepared(
          approximation, work, writer, alone, records
        )
      else:
        fill = kernel_filling.whole(writer, scorer, *work.tokens, alone)
      share = processes.share(missing)
      kernel_filling.fill(f"{scorer.name}, pairs", share, fill)
      processes.wait("blocks written")
    if processes.is_first():
      writer.finish(scorer=scorer.name)
  return processes.is_first()


def _statuses(what: str, read: Sequence[Any]) -> list[str]:
  """The status of each record; some must be scorable."""
  reasons = collections.Counter(one.reason for one in read)
  if not reasons.pop(None, 0):
    found = ", ".join(f"{count} {why}" for why, count in reasons.items())
    raise ValueError(
      f"no {what} can be scored ({found or 'there is no record'}): name other "
      "files or fields, or raise MAX_TOKENS where they are too long"
    )
  for reason, count in reasons.items():
    if processes.is_first():
      print(f"{count:,} of {len(read):,} {what}s are unscorable: {reason}")
  return [
    interface.unscorable(one.reason) if one.reason else interface.SCORED
    for one in read
  ]


def _check_pairs(targets: Axis, examples: Axis) -> None:
  """Refuses records that are all the same: no pair would count."""
  different = {
    *targets.fingerprints[targets.scorable].tolist(),
    *examples.fingerprints[examples.scorable].tolist(),
  }
  if len(different) < 2:
    raise ValueError(
      "every example is its target, or a copy of it, and shows the answer: "
      "nothing to score; name a larger POOL, or other TARGETS"
    )


def _alone(
  writer: kernel_filling.Writer,
  scorer: pairwise_utility.PairwiseUtility,
  targets: Sequence[pair_tokens.Target],
) -> np.ndarray:
  """d(y | x) of each target: by the first process, for all."""
  known = writer.alone()
  if known is not None:
    return known
  found = scorer.alone(targets)
  scorable = np.array([target.reason is None for target in targets])
  if not np.isfinite(found[scorable]).any():
    raise ValueError(
      "the model's log-probabilities are not finite for any target: its "
      "checkpoint is damaged, or not the one of its config.json"
    )
  writer.write_alone(found)
  return found


def _report(output: str) -> None:
  kernel = utility_kernels.UtilityKernel.open(output)
  rows, columns = kernel.shape
  print(
    f"{output}: {kernel.scored:,} pairs of {rows:,} targets and {columns:,} "
    "examples scored"
  )
  if "approximation" in kernel.identity:
    print(
      f"by {kernel.identity['approximation']['name']}: the other pairs are "
      "predicted or left out; gin/runs/fidelity.gin says how well"
    )
  if kernel.non_finite:
    print(
      f"{kernel.non_finite:,} pairs have no finite value and are masked: look "
      "at the model's numerics (dtype), or at these records"
    )
