# SPDX-License-Identifier: Apache-2.0
"""Start here: verbs to functions, and nothing else.

  python -m data_efficient VERB --gin_file=FILE --gin.NAME=VALUE

Data flows one way, through files: a corpus is scored, scores are selected
from, a model trains on the selection, runs are evaluated, a page reports.
Every verb can be run alone, resumes when run again, and does nothing when its
work is done. Without --gin_file a verb reads gin/runs/VERB.gin.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple


def _quickstart() -> Callable:
  from data_efficient.cli import quickstart

  return quickstart.quickstart


def _plan() -> Callable:
  from data_efficient.cli import plan

  return plan.plan


def _score() -> Callable:
  from data_efficient.cli import score

  return score.score


def _split() -> Callable:
  from data_efficient.cli import split

  return split.split


def _utility() -> Callable:
  from data_efficient.cli import utility

  return utility.utility


def _select() -> Callable:
  from data_efficient.cli import select

  return select.select


def _cache() -> Callable:
  from data_efficient.cli import cache

  return cache.cache


def _train() -> Callable:
  from data_efficient.cli import train

  return train.train


def _infer() -> Callable:
  from data_efficient.cli import infer

  return infer.infer


def _respond() -> Callable:
  from data_efficient.cli import respond

  return respond.respond


def _grade() -> Callable:
  from data_efficient.cli import grade

  return grade.grade


def _export() -> Callable:
  from data_efficient.cli import export

  return export.export


def _agreement() -> Callable:
  from data_efficient.cli import agreement

  return agreement.agreement


def _fidelity() -> Callable:
  from data_efficient.cli import fidelity

  return fidelity.fidelity


def _suite() -> Callable:
  from data_efficient.cli import suite

  return suite.suite


def _evaluate() -> Callable:
  from data_efficient.cli import evaluate

  return evaluate.evaluate


def _report() -> Callable:
  from data_efficient.cli import report

  return report.report


def _compare() -> Callable:
  from data_efficient.cli import compare

  return compare.compare


def _audit() -> Callable:
  from data_efficient.cli import audit

  return audit.audit


class Verb(NamedTuple):
  """A verb: what it does, and where (imported only when it is called)."""

  help: str
  load: Callable[[], Callable]


VERBS = {
  "quickstart": Verb(
    "score, select, train, evaluate and report, end to end", _quickstart
  ),
  "plan": Verb("a corpus, sizes -> hours and costs, before either", _plan),
  "score": Verb("a corpus, a scorer -> a score set", _score),
  "split": Verb("instructions -> sets that share no prompt", _split),
  "utility": Verb(
    "instructions, a model -> what each is worth for each target", _utility
  ),
  "select": Verb("a score set, a budget -> a selection", _select),
  "cache": Verb("a corpus -> its tokens, for every selection", _cache),
  "train": Verb("a selection, a model -> a run", _train),
  "infer": Verb("a run, a task -> scores or predictions", _infer),
  "export": Verb("a run -> a checkpoint in Hugging Face's format", _export),
  "respond": Verb(
    "a model, test instructions -> its responses, and how good they are",
    _respond,
  ),
  "grade": Verb("responses, a judge -> grades, and which run wins", _grade),
  "agreement": Verb("score sets -> how alike they rank", _agreement),
  "fidelity": Verb(
    "utility kernels -> how near cheap ones come to the exact one", _fidelity
  ),
  "suite": Verb("checkpoints, few-shot tasks -> suites.json", _suite),
  "evaluate": Verb("runs -> results.json", _evaluate),
  "compare": Verb("runs on instructions -> results.json", _compare),
  "audit": Verb("a judge, documents -> how far these steer it", _audit),
  "report": Verb(
    "results.json -> index.html, report.md and report.tex", _report
  ),
}


def main(argv: Sequence[str] | None = None) -> int:
  """Runs one verb.

  The exit code is 2 for a mistake of the user's, 143 after SIGTERM and 130
  after Ctrl-C; either way what was spent is counted, and what is done is kept.
  """
  arguments, bindings = _arguments(argv)
  from data_efficient import gin_config, interruption

  gin_files = arguments.gin_file or [f"gin/runs/{arguments.verb}.gin"]
  try:
    verb = VERBS[arguments.verb].load()
    gin_config.parse(gin_files, bindings)
    with interruption.raised():
      gin_config.configured(verb)()
  except ValueError as error:
    if arguments.debug:
      raise
    print(f"data_efficient {arguments.verb}: {error}", file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    print("stopped; the same command goes on from here", file=sys.stderr)
    return 130
  return 0


def _arguments(
  argv: Sequence[str] | None,
) -> tuple[argparse.Namespace, list[str]]:
  parser = argparse.ArgumentParser(
    prog="data_efficient",
    allow_abbrev=False,
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    epilog="verbs:\n"
    + "\n".join(f"  {name:12} {verb.help}" for name, verb in VERBS.items()),
  )
  parser.add_argument("verb", choices=VERBS, metavar="VERB")
  parser.add_argument(
    "--gin_file",
    action="append",
    metavar="FILE",
    help="a gin file; repeated, a later one overrides an earlier one",
  )
  parser.add_argument(
    "--debug", action="store_true", help="show the traceback of an error"
  )
  parser.add_argument(
    "--gin.NAME", dest="ignored", metavar="VALUE", help="bind NAME to VALUE"
  )
  arguments, rest = parser.parse_known_args(argv)
  bindings = [word[len("--gin.") :] for word in rest]
  wrong = [word for word in rest if not word.startswith("--gin.")]
  if wrong:
    parser.error(f"unknown argument {wrong[0]}; bindings are --gin.NAME=VALUE")
  return arguments, bindings


if __name__ == "__main__":
  sys.exit(main())
