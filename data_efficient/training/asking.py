# SPDX-License-Identifier: Apache-2.0
"""Ask-LLM as an inference of either engine; `cli.asked` imports its scores."""

from collections.abc import Sequence

from data_efficient.data import asking as asking_data
from data_efficient.data import prepared
from data_efficient.models import encoder_decoder
from data_efficient.scorers import questions
from data_efficient.training import inference


def asking(
  *,
  directory: str,
  corpus: prepared.Prepared,
  network: encoder_decoder.T5Config,
  checkpoint: str,
  question: questions.Question,
  answers: Sequence[str],
  batch_size: int,
) -> inference.Inference:
  """The log-likelihood of each answer to each record of a corpus.

  An engine's score mode reads one target a forward pass: every answer costs
  what the first one does. (`scorers.ask_llm` reads all answers in one.)

  Args:
    directory: where the inferences go.
    corpus: all its records are asked about.
    network: of the judge, an encoder–decoder.
    checkpoint: the judge.
    question: what is asked.
    answers: the positive answer and others of the question's casings.
    batch_size: examples at a time, over all devices.

  Raises:
    ValueError: an answer that is none of this question, or the positive one is
      missing; a vocabulary or a prompt of another network.
  """
  if question.tokenizer.size > network.vocab_size:
    raise ValueError(
      f"the vocabulary has {question.tokenizer.size} ids, the judge's network "
      f"{network.vocab_size}: name the judge's own vocabulary"
    )
  if question.prompt.continued:
    raise ValueError(
      "the prompt's answer continues it, but the judge is an encoder–decoder: "
      "use prompts.ask_llm()"
    )
  known = question.casings
  wrong = [word for word in answers if word not in known]
  if wrong or question.prompt.positive not in answers:
    raise ValueError(
      f"answers = {tuple(answers)}: expected {question.prompt.positive!r} and "
      f"maybe others of {', '.join(known)}"
    )
  pieces = {word: known[word] for word in dict.fromkeys(answers)}
  return inference.Inference(
    directory=directory,
    network=network,
    checkpoint=checkpoint,
    task=asking_data.task(
      corpus=corpus.corpus, question=question, answers=pieces
    ),
    task_feature_lengths={
      "inputs": question.max_input_tokens,
      "targets": max(map(len, pieces.values())),
    },
    batch_size=batch_size,
    mode=inference.Mode.SCORE,
    columns=asking_data.CARRIED,
  )
