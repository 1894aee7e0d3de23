# SPDX-License-Identifier: Apache-2.0
"""A small random Llama and its tokenizer, in files as published ones are."""

import json
import pathlib
import string

import numpy as np
import tokenizers
from safetensors import numpy as safetensors

SIZES = {
  **{"model_type": "llama", "vocab_size": 96, "hidden_size": 16},
  **{"intermediate_size": 24, "num_hidden_layers": 2},
  **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
  **{"rms_norm_eps": 1e-5, "tie_word_embeddings": True},
  **{"max_position_embeddings": 512, "hidden_act": "silu"},
}
_MARKS = ("<s>", "</s>", "<unk>")


def save(directory: pathlib.Path, *, seed: int = 0, spoilt: bool = False):
  """Writes config.json, model.safetensors and tokenizer.json.

  Args:
    directory: is made.
    seed: of the weights.
    spoilt: whether they are no numbers.
  """
  directory.mkdir()
  (directory / "config.json").write_text(json.dumps(SIZES))
  rng = np.random.default_rng(seed)

  def draw(*shape):
    found = rng.normal(size=shape) / shape[-1] ** 0.5
    return np.float32(np.nan * found if spoilt else found)

  width, inner = SIZES["hidden_size"], SIZES["intermediate_size"]
  keys = SIZES["num_key_value_heads"] * SIZES["head_dim"]
  queries = SIZES["num_attention_heads"] * SIZES["head_dim"]
  tensors = {
    "model.embed_tokens.weight": draw(SIZES["vocab_size"], width),
    "model.norm.weight": 1 + draw(width),
  }
  for layer in range(SIZES["num_hidden_layers"]):
    shapes = {
      "input_layernorm": (width,),
      "post_attention_layernorm": (width,),
      "self_attn.q_proj": (queries, width),
      "self_attn.k_proj": (keys, width),
      "self_attn.v_proj": (keys, width),
      "self_attn.o_proj": (width, queries),
      "mlp.gate_proj": (inner, width),
      "mlp.up_proj": (inner, width),
      "mlp.down_proj": (width, inner),
    }
    tensors |= {
      f"model.layers.{layer}.{name}.weight": draw(*shape) * 2
      for name, shape in shapes.items()
    }
  safetensors.save_file(tensors, directory / "model.safetensors")
  tokenizer().save(str(directory / "tokenizer.json"))


def tokenizer() -> tokenizers.Tokenizer:
  """One id a character, less than the network has."""
  letters = string.ascii_letters + string.digits + " \n.,:?!'-{}"
  pieces = [*_MARKS, *letters]
  model = tokenizers.models.WordLevel(
    {piece: number for number, piece in enumerate(pieces)}, unk_token="<unk>"
  )
  made = tokenizers.Tokenizer(model)
  made.pre_tokenizer = tokenizers.pre_tokenizers.Split(
    tokenizers.Regex(r"[\s\S]"), "isolated"
  )
  made.decoder = tokenizers.decoders.Fuse()
  made.add_special_tokens(list(_MARKS))
  made.post_processor = tokenizers.processors.TemplateProcessing(
    single="<s> $A", special_tokens=[("<s>", 0)]
  )
  return made
