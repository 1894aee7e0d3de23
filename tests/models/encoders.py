# SPDX-License-Identifier: Apache-2.0
"""Small encoders for tests: networks, parameters, and files written by hand."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy as safetensors

from data_efficient.models import encoder, networks, parameter_trees
from data_efficient.models import sentence_t5 as sentence_t5_module

BERT = encoder.BertConfig(
  vocab_size=40,
  emb_dim=16,
  num_heads=2,
  mlp_dim=24,
  num_encoder_layers=2,
  max_positions=24,
  token_types=2,
  activation="gelu",
  norm_epsilon=1e-12,
  pooling="mean",
  normalise=True,
  dtype="float32",
)
BERT_JSON = {
  **{"model_type": "bert", "vocab_size": 40, "hidden_size": 16},
  **{"num_attention_heads": 2, "intermediate_size": 24},
  **{"num_hidden_layers": 2, "max_position_embeddings": 24},
  **{"type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12},
}
SENTENCE_T5 = sentence_t5_module.SentenceT5Config(
  vocab_size=40,
  emb_dim=16,
  num_heads=2,
  head_dim=8,
  mlp_dim=24,
  num_encoder_layers=2,
  dtype="float32",
  dropout_rate=0.0,
  embedding_init_stddev=1.0,
  relative_attention_num_buckets=8,
  relative_attention_max_distance=10,
  gated=False,
  projected_dim=12,
  pooling="mean",
  normalise=True,
)
T5_JSON = {
  **{"model_type": "t5", "vocab_size": 40, "d_model": 16, "num_heads": 2},
  **{"d_kv": 8, "d_ff": 24, "num_layers": 2, "feed_forward_proj": "relu"},
  **{"dropout_rate": 0.0, "relative_attention_num_buckets": 8},
  **{"relative_attention_max_distance": 10},
}


def parameters(network: networks.Network) -> dict:
  """Random ones whose norms, biases and activations all matter."""
  random = np.random.default_rng(0)

  def draw(path, leaf):
    values = random.normal(size=leaf.shape)
    if path[-1].key == "scale":
      values = 1 + values / 4
    elif path[-1].key == "bias":
      values = values / 4
    elif path[-1].key == "kernel":
      values = 1.5 * values / math.sqrt(leaf.shape[0])
    return jnp.asarray(values, jnp.float32)

  return jax.tree_util.tree_map_with_path(
    draw, networks.parameter_shapes(network)
  )


def write(directory, config: dict, tensors: dict, modules: dict) -> None:
  """A checkpoint: `modules` is {folder: (type, its config or None)}."""
  directory.mkdir(exist_ok=True)
  (directory / "config.json").write_text(json.dumps(config))
  safetensors.save_file(tensors, directory / "model.safetensors")
  listed = [{"path": "", "type": "sentence_transformers.models.Transformer"}]
  for folder, (kind, values) in modules.items():
    listed.append(
      {"path": folder, "type": f"sentence_transformers.models.{kind}"}
    )
    (directory / folder).mkdir(exist_ok=True)
    if values is not None:
      (directory / folder / "config.json").write_text(json.dumps(values))
  (directory / "modules.json").write_text(json.dumps(listed))


def bert_tensors(p: dict) -> dict[str, np.ndarray]:
  """The tree in Hugging Face's names, written out one by one."""
  leaves = parameter_trees.flatten(p)
  tensors = {
    "embeddings.word_embeddings.weight": leaves["token_embedder/embedding"],
    "embeddings.position_embeddings.weight": leaves["positions"],
    "embeddings.token_type_embeddings.weight": leaves["token_types"],
    "embeddings.position_ids": np.arange(24)[None],
    "pooler.dense.weight": np.zeros((16, 16), np.float32),
    "pooler.dense.bias": np.zeros(16, np.float32),
  }
  norms = {"embeddings.LayerNorm": "embedding_norm"}
  kernels = {}
  for i in range(2):
    theirs, ours = f"encoder.layer.{i}", f"layers_{i}"
    kernels[f"{theirs}.attention.self.query"] = f"{ours}/attention/query"
    kernels[f"{theirs}.attention.self.key"] = f"{ours}/attention/key"
    kernels[f"{theirs}.attention.self.value"] = f"{ours}/attention/value"
    kernels[f"{theirs}.attention.output.dense"] = f"{ours}/attention/out"
    kernels[f"{theirs}.intermediate.dense"] = f"{ours}/wi"
    kernels[f"{theirs}.output.dense"] = f"{ours}/wo"
    norms[f"{theirs}.attention.output.LayerNorm"] = f"{ours}/attention_norm"
    norms[f"{theirs}.output.LayerNorm"] = f"{ours}/mlp_norm"
  for theirs, ours in norms.items():
    tensors[f"{theirs}.weight"] = leaves[f"{ours}/scale"]
    tensors[f"{theirs}.bias"] = leaves[f"{ours}/bias"]
  for theirs, ours in kernels.items():
    tensors[f"{theirs}.weight"] = leaves[f"{ours}/kernel"].T
    tensors[f"{theirs}.bias"] = leaves[f"{ours}/bias"]
  return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def t5_tensors(p: dict) -> dict[str, np.ndarray]:
  """The encoder's tensors; the projection is in a file of its own."""
  tensors = {
    "shared.weight": p["token_embedder"]["embedding"],
    "encoder.final_layer_norm.weight": p["encoder"]["encoder_norm"]["scale"],
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (
      p["encoder"]["relpos_bias"]["rel_embedding"].T
    ),
  }
  letters = {"q": "query", "k": "key", "v": "value", "o": "out"}
  for i in range(2):
    ours, theirs = p["encoder"][f"layers_{i}"], f"encoder.block.{i}.layer"
    tensors[f"{theirs}.0.layer_norm.weight"] = ours["pre_attention_layer_norm"][
      "scale"
    ]
    tensors[f"{theirs}.1.layer_norm.weight"] = ours["pre_mlp_layer_norm"][
      "scale"
    ]
    for letter, name in letters.items():
      tensors[f"{theirs}.0.SelfAttention.{letter}.weight"] = ours["attention"][
        name
      ]["kernel"].T
    for name in ("wi", "wo"):
      tensors[f"{theirs}.1.DenseReluDense.{name}.weight"] = ours["mlp"][name][
        "kernel"
      ].T
  return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


POOLING = {
  "pooling_mode_cls_token": False,
  "pooling_mode_mean_tokens": True,
  "pooling_mode_max_tokens": False,
}
DENSE = {
  "in_features": 16,
  "out_features": 12,
  "bias": False,
  "activation_function": "torch.nn.modules.linear.Identity",
}


def write_bert(directory, p: dict) -> None:
  """`BERT`, normalised and pooled by the mean."""
  modules = {"1_Pooling": ("Pooling", POOLING), "2_Norm": ("Normalize", None)}
  write(directory, BERT_JSON, bert_tensors(p), modules)


def write_t5(directory, p: dict) -> None:
  """`SENTENCE_T5`."""
  modules = {
    "1_Pooling": ("Pooling", POOLING),
    "2_Dense": ("Dense", DENSE),
    "3_Norm": ("Normalize", None),
  }
  write(directory, T5_JSON, t5_tensors(p), modules)
  kernel = np.ascontiguousarray(p["projection"]["kernel"].T)
  safetensors.save_file(
    {"linear.weight": kernel}, directory / "2_Dense/model.safetensors"
  )
