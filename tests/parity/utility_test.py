# SPDX-License-Identifier: Apache-2.0
"""Utilities of random tiny decoders against transformers, by whole rows."""

import numpy as np
import pytest
import torch
import transformers

from data_efficient.models import decoder_configs, tokenizer_files
from data_efficient.scorers import judges
from tests import decoders
from tests.scorers import pairs

# Of any utility.
LIMIT = 1e-4

_SIZES = {
  **{"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48},
  **{"num_hidden_layers": 4, "num_attention_heads": 4, "head_dim": 16},
  **{"num_key_value_heads": 2, "max_position_embeddings": 256},
}
CASES = {
  "llama": ("Llama", {}),
  "mistral": ("Mistral", {"sliding_window": 9}),
  "gemma2": ("Gemma2", {"sliding_window": 9, "query_pre_attn_scalar": 24}),
}
TARGETS, EXAMPLES = pairs.instructions(5), pairs.instructions(4, seed=1)


@pytest.fixture(scope="module", params=CASES)
def both(request, tmp_path_factory):
  """A judge, and the network of transformers that it is."""
  directory = tmp_path_factory.mktemp("model") / request.param
  family, fields = CASES[request.param]
  torch.manual_seed(1)
  config = getattr(transformers, f"{family}Config")(**_SIZES | fields)
  model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
  with torch.no_grad():
    for name, parameter in model.named_parameters():
      if "norm" in name:
        parameter.uniform_(-0.5, 0.5)
      else:
        parameter.normal_(0.0, 0.4)
  model.save_pretrained(directory)
  decoders.tokenizer().save(str(directory / "tokenizer.json"))
  network = decoder_configs.read_config(directory, dtype="float32")
  judge = judges.load(network=network, checkpoint=str(directory), kind="tiny")
  return judge, model, directory / "tokenizer.json"


def _theirs(model, tokenizer, scorer, target, example) -> float:
  """The distance of an answer, by one pass over the whole row."""
  template = scorer.template

  def ids(text):
    return tokenizer.encode(text, add_special_tokens=False).ids

  if example is None:
    before, query = ids(template.alone), template.query_alone
  else:
    before = ids(template.example.format(**example._asdict()))
    query = template.query
  # <s> before the text, and </s> behind the answer.
  before = [0, *before][: scorer.max_example_tokens]
  answer = [*ids(target.response), 1]
  row = before + ids(query.format(prompt=target.prompt)) + answer
  with torch.inference_mode():
    logits = model(input_ids=torch.tensor([row])).logits[0]
  log_p = torch.log_softmax(logits.double(), dim=-1)
  places = range(len(row) - len(answer) - 1, len(row) - 1)
  found = np.array(
    [log_p[at, token] for at, token in zip(places, answer, strict=True)]
  )
  if scorer.distance == "euclidean":
    return np.sqrt(np.mean((1 - np.exp(found)) ** 2))
  return -found.mean()


@pytest.mark.parametrize(
  "distance", ["euclidean", "mean_negative_log_likelihood"]
)
def test_utilities(both, distance):
  judge, model, path = both
  scorer = pairs.scorer(
    judge,
    tokenizer=tokenizer_files.read(str(path)),
    distance=distance,
    max_example_tokens=24,
  )
  found = pairs.utilities(scorer, TARGETS, EXAMPLES)

  def distances(examples):
    tokenizer = decoders.tokenizer()
    return np.array(
      [
        [_theirs(model, tokenizer, scorer, t, e) for e in examples]
        for t in TARGETS
      ]
    )

  expected = distances([None]) - distances(EXAMPLES)
  assert np.ptp(expected) > 1e-3
  np.testing.assert_allclose(found, expected, atol=LIMIT, rtol=0)
