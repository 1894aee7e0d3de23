# SPDX-License-Identifier: Apache-2.0
"""Does the wording of the question decide what Ask-LLM keeps?

One judge, one corpus, five prompts: the paper's (arXiv 2402.09668, Figure 3),
its options in the other order, its question in front of the document, one
short sentence, and one that asks for what teaches. The last job compares the
rankings: Kendall's τ, the top sets in common, and how well each prompt tells
well-edited text (HQ) from the pool. The paper has no such comparison.

  python -m launch.local configs/prompt_sensitivity.py \
    --judge=../flan-t5-small --vocabulary=../flan-t5-small/spiece.model
"""

from data_efficient.cli.jobs import Job

PAPER = "paper"
PROMPTS = ("options_reversed", "question_first", "short", "educational")


def jobs(
  *,
  judge: str,
  vocabulary: str,
  kind: str = "flan_t5_small",
  model: str = "gin/models/flan_t5_small.gin",
  corpus: str = "gin/data/installed_text.gin",
  tokens: int = 512,
  output: str = "out/prompt_sensitivity",
) -> list[Job]:
  """A score set a prompt, then their comparison.

  Args:
    judge: directory of the checkpoint.
    vocabulary: its tokenizer's file.
    kind: what tables call it.
    model: gin file of its size.
    corpus: gin file of the corpus.
    tokens: of the judge's input.
    output: directory of everything.
  """
  place = {"PREPARED": f"{output}/corpus"}
  bindings = {
    **place,
    "JUDGE_CHECKPOINT": judge,
    "JUDGE_KIND": kind,
    "JUDGE_TOKENS": int(tokens),
    "VOCABULARY_FILE": vocabulary,
  }
  scorer = (corpus, "gin/scorers/ask_llm.gin", model)
  scorer += ("gin/data/vocabulary_file.gin",)
  scores = {name: f"{output}/scores/{name}" for name in (PAPER, *PROMPTS)}
  asked = [
    Job(
      name=f"score_{name}",
      verb="score",
      gin_files=("gin/runs/score.gin", *scorer, *_prompt(name)),
      bindings={**bindings, "OUTPUT": directory},
      leaves=(f"{directory}/manifest.json",),
      # They share the corpus's index and splits: the first one makes them.
      needs=() if name == PAPER else (f"score_{PAPER}",),
    )
    for name, directory in scores.items()
  ]
  compared = Job(
    name="agreement",
    verb="agreement",
    gin_files=("gin/runs/agreement.gin", corpus),
    bindings={**place, "SCORES": scores, "OUTPUT": output},
    leaves=(f"{output}/agreement.json",),
    needs=tuple(job.name for job in asked),
  )
  return [*asked, compared]


def _prompt(name: str) -> tuple[str, ...]:
  return () if name == PAPER else (f"gin/scorers/prompts/{name}.gin",)
