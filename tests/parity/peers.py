# SPDX-License-Identifier: Apache-2.0
"""Random T5 1.1s by transformers, their files, and their log-probabilities."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import numpy as np
import torch
import transformers

# Networks this small are computed sooner by one thread.
torch.set_num_threads(1)


@dataclasses.dataclass(frozen=True)
class Peer:
  """A network of transformers and the directory that it was saved to."""

  model: transformers.T5ForConditionalGeneration
  directory: pathlib.Path

  def log_probabilities(
    self, inputs: Sequence[int], known: Sequence[int] = ()
  ) -> np.ndarray:
    """[1 + known, v] float64: of every token after 0 and those known.

    One text, without padding.
    """
    return self.padded([inputs], [[0, *known]])[0]

  def padded(self, inputs, decoder_inputs) -> np.ndarray:
    """[b, t, v] float64 of sources padded with 0."""
    inputs = torch.tensor(np.array(inputs, np.int64))
    with torch.inference_mode():
      logits = self.model(
        input_ids=inputs,
        attention_mask=(inputs > 0).long(),
        decoder_input_ids=torch.tensor(np.array(decoder_inputs, np.int64)),
      ).logits
    return torch.log_softmax(logits.double(), dim=-1).numpy()

  def answer(self, inputs: Sequence[int], pieces: Sequence[int]) -> float:
    """Log-probability of an answer, teacher-forced."""
    found = self.log_probabilities(inputs, pieces[:-1])
    return sum(found[step, piece] for step, piece in enumerate(pieces))


def make(
  directory: pathlib.Path,
  *,
  sizes: dict,
  dtype: torch.dtype = torch.float32,
  max_shard_size: str = "5GB",
  config_of: int = 4,
) -> Peer:
  """Saves a random network, and reads it back in float32.

  Args:
    directory: a new one.
    sizes: of its config.
    dtype: of the tensors in the files.
    max_shard_size: of a file.
    config_of: the generation of transformers whose config.json is written.
  """
  config = transformers.T5Config(
    feed_forward_proj="gated-gelu",
    tie_word_embeddings=False,
    decoder_start_token_id=0,
    **sizes,
  )
  torch.manual_seed(len(str(sizes)))
  model = transformers.T5ForConditionalGeneration(config)
  # It would tie the head of every T5; T5 1.1 has one of its own.
  model.lm_head.weight = torch.nn.Parameter(
    torch.randn(config.vocab_size, config.d_model) * 0.4
  )
  model.all_tied_weights_keys.pop("lm_head.weight")
  with torch.no_grad():
    for name, parameter in model.named_parameters():
      if "layer_norm" in name:
        parameter.uniform_(0.5, 1.5)
  model.to(dtype).save_pretrained(directory, max_shard_size=max_shard_size)
  if config_of == 4:
    path = directory / "config.json"
    values = json.loads(path.read_text())
    del values["scale_decoder_outputs"]
    path.write_text(json.dumps(values | {"tie_word_embeddings": False}))
  read = transformers.T5ForConditionalGeneration.from_pretrained(
    directory, dtype=torch.float32
  )
  assert not torch.equal(read.lm_head.weight, read.shared.weight)
  return Peer(read.eval(), directory)
