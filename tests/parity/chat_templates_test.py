# SPDX-License-Identifier: Apache-2.0
"""Chat templates against Jinja's, as transformers renders them."""

import json

import pytest
import tokenizers as library
import transformers

from data_efficient import gin_config
from data_efficient.models import chat_templates, tokenizer_files
from data_efficient.scorers import defences, prompts, questions

# Their documented forms, for one user's turn.
JINJA = {
  "llama_3": (
    "{{ '<|begin_of_text|>' }}{% for m in messages %}{{ '<|start_header_id|>' "
    "+ m['role'] + '<|end_header_id|>\n\n' + m['content'] + '<|eot_id|>' }}"
    "{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
  ),
  "gemma": (
    "{{ '<bos>' }}{% for m in messages %}{{ '<start_of_turn>' + m['role'] + "
    "'\n' + m['content'] + '<end_of_turn>\n' }}{% endfor %}"
    "{{ '<start_of_turn>model\n' }}"
  ),
  "qwen_2": (
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + "
    "m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
  ),
  "mistral": (
    "{{ '<s>' }}{% for m in messages %}{{ '[INST] ' + m['content'] + "
    "' [/INST]' }}{% endfor %}"
  ),
}


def _chat(family):
  gin_config.parse(
    [
      *("gin/runs/score.gin", "gin/data/files.gin"),
      *("gin/data/vocabulary_file.gin", "gin/scorers/ask_llm_in_chat.gin"),
      f"gin/models/chat/{family}.gin",
    ],
    [
      *("FILES=x", "PREPARED=x", "OUTPUT=x", "VOCABULARY_FILE=x.json"),
      *("JUDGE_KIND=x", "JUDGE_CHECKPOINT=x"),
    ],
  )
  return gin_config.configured(chat_templates.ChatTemplate)()


@pytest.mark.parametrize("family", JINJA)
def test_the_ids_of_a_turn(family, shared, tmp_path):
  chat = _chat(family)
  base = "mistral" if family == "mistral" else "gpt-neox-olmo"
  made = library.Tokenizer.from_file(
    str(shared / f"tokenizers/{base}.tokenizer.json")
  )
  made.add_special_tokens([library.AddedToken(m) for m in chat.marks])
  path = tmp_path / "tokenizer.json"
  path.write_text(json.dumps(json.loads(made.to_str())))
  peer = transformers.PreTrainedTokenizerFast(
    tokenizer_file=str(path), chat_template=JINJA[family]
  )
  question = questions.Question(
    prompt=prompts.ask_llm_in_chat(),
    tokenizer=tokenizer_files.read(str(path)),
    max_input_tokens=512,
    defence=defences.Defence(steps=()),
    chat=chat,
  )
  for text in ("Water boils at 100 degrees.", "Two\nlines, and - marks."):
    theirs = peer.apply_chat_template(
      [{"role": "user", "content": prompts.ask_llm().text(text)}],
      tokenize=True,
      return_dict=False,
    )
    ours = question.input_ids(question.document(text))
    if family == "mistral":
      # Its tokenizer puts a space in front of what it is given alone: the
      # document, and what follows.
      assert _letters(peer, ours) == _letters(peer, theirs)
    else:
      assert ours == theirs


def _letters(tokenizer, ids):
  return tokenizer.decode(ids).replace(" ", "")
