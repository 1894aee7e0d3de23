# SPDX-License-Identifier: Apache-2.0
"""A small trained Llama in llama2.c's format, in files as published ones."""

import json
import pathlib
import struct
from collections.abc import Callable

import numpy as np
import tokenizers
from safetensors import numpy as safetensors

_BYTES = 3  # ids of the bytes begin here, after three marks


def save(source: pathlib.Path, directory: pathlib.Path) -> None:
  """Writes config.json, model.safetensors and tokenizer.json.

  Args:
    source: with stories260K.bin and stories260K.tok512.bin.
    directory: is made.
  """
  directory.mkdir(parents=True)
  data = (source / "stories260K.bin").read_bytes()
  width, inner, depth, heads, groups, pieces, length = struct.unpack(
    "7i", data[:28]
  )
  config = {
    **{"model_type": "llama", "vocab_size": pieces, "hidden_size": width},
    **{"intermediate_size": inner, "num_hidden_layers": depth},
    **{"num_attention_heads": heads, "num_key_value_heads": groups},
    **{"rms_norm_eps": 1e-5, "tie_word_embeddings": True},
    **{"max_position_embeddings": length, "hidden_act": "silu"},
    "head_dim": width // heads,
  }
  (directory / "config.json").write_text(json.dumps(config))
  take = _arrays(np.frombuffer(data[28:], np.float32))
  keys = groups * width // heads
  tensors = {"model.embed_tokens.weight": take(pieces, width)}
  # In the order of the file, each for all layers.
  for name, shape in (
    ("input_layernorm", (width,)),
    ("self_attn.q_proj", (width, width)),
    ("self_attn.k_proj", (keys, width)),
    ("self_attn.v_proj", (keys, width)),
    ("self_attn.o_proj", (width, width)),
    ("post_attention_layernorm", (width,)),
    ("mlp.gate_proj", (inner, width)),
    ("mlp.down_proj", (width, inner)),
    ("mlp.up_proj", (inner, width)),
  ):
    values = take(depth, *shape)
    if name.endswith(("q_proj", "k_proj")):
      # Pairs that stand beside one another, half a head apart.
      number = heads if "q_proj" in name else groups
      values = values.reshape(depth, number, -1, 2, width).swapaxes(2, 3)
      values = values.reshape(depth, *shape)
    for layer in range(depth):
      tensors[f"model.layers.{layer}.{name}.weight"] = values[layer]
  tensors["model.norm.weight"] = take(width)
  tensors = {name: np.ascontiguousarray(v) for name, v in tensors.items()}
  safetensors.save_file(tensors, directory / "model.safetensors")
  tokenizer(source).save(str(directory / "tokenizer.json"))


def tokenizer(source: pathlib.Path) -> tokenizers.Tokenizer:
  """The best pair is joined again and again; other letters are bytes."""
  pieces, scores = [], []
  data = (source / "stories260K.tok512.bin").read_bytes()[4:]
  while data:
    score, count = struct.unpack("fi", data[:8])
    scores.append(score)
    pieces.append(data[8 : 8 + count].decode())
    data = data[8 + count :]
  marks = ("<unk>", "<s>", "</s>")
  names = [*marks, *(f"<0x{value:02X}>" for value in range(256))]
  names += [piece.replace(" ", "▁") for piece in pieces[len(names) :]]
  numbers = {name: number for number, name in enumerate(names)}
  joined = sorted(range(_BYTES + 256, len(names)), key=lambda n: -scores[n])
  merges = [
    (names[number][:at], names[number][at:])
    for number in joined
    for at in range(1, len(names[number]))
    if names[number][:at] in numbers and names[number][at:] in numbers
  ]
  model = tokenizers.models.BPE(
    numbers, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
  )
  made = tokenizers.Tokenizer(model)
  made.normalizer = tokenizers.normalizers.Sequence(
    [
      tokenizers.normalizers.Prepend("▁"),
      tokenizers.normalizers.Replace(" ", "▁"),
    ]
  )
  made.add_special_tokens(list(marks))
  made.post_processor = tokenizers.processors.TemplateProcessing(
    single="<s> $A", special_tokens=[("<s>", 1)]
  )
  return made


def _arrays(numbers: np.ndarray) -> Callable[..., np.ndarray]:
  """A function that takes the next array of a shape."""
  place = 0

  def take(*shape: int) -> np.ndarray:
    nonlocal place
    place += (count := int(np.prod(shape)))
    return numbers[place - count : place].reshape(shape)

  return take
