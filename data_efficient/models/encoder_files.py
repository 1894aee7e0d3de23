# SPDX-License-Identifier: Apache-2.0
"""Published encoders by their files: the layout of sentence-transformers.

`modules.json` says what follows the network (`config.json`,
`model.safetensors`): pooling (`1_Pooling/config.json`), for Sentence-T5 a
projection (`2_Dense/`), and whether vectors are brought to unit norm. What is
not known here is refused by its name.
"""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from data_efficient.models import (
  encoder,
  huggingface,
  networks,
  sentence_t5,
  tensor_files,
)
from data_efficient.models.parameter_trees import CheckpointError
from data_efficient.models.tensor_files import Tensor

EncoderConfig = encoder.BertConfig | sentence_t5.SentenceT5Config

_MODULES = ("Transformer", "Pooling", "Dense", "Normalize")
_POOLING = {"mean_tokens": "mean", "cls_token": "cls"}

# Fields of config.json that say nothing of a forward pass.
_OF_NO_WEIGHT = {
  *("_name_or_path", "architectures", "dtype", "torch_dtype", "use_cache"),
  *("transformers_version", "initializer_range", "gradient_checkpointing"),
  *("id2label", "label2id", "problem_type", "classifier_dropout"),
  *("bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id"),
  *("attention_probs_dropout_prob", "hidden_dropout_prob", "return_dict"),
  *("output_attentions", "output_hidden_states", "chunk_size_feed_forward"),
  *("tie_word_embeddings", "is_encoder_decoder", "decoder_start_token_id"),
  # Of old files: the pooler of the next-sentence task, which is not read.
  *("directionality", "pooler_fc_size", "pooler_num_attention_heads"),
  *("pooler_num_fc_layers", "pooler_size_per_head", "pooler_type"),
  # Of T5: its decoder and its tasks; what feed_forward_proj says twice.
  *("num_decoder_layers", "scale_decoder_outputs", "task_specific_params"),
  *("n_positions", "output_past", "dense_act_fn", "is_gated_act"),
}
_BERT = {
  **{"vocab_size": "vocab_size", "hidden_size": "emb_dim"},
  **{"num_attention_heads": "num_heads", "intermediate_size": "mlp_dim"},
  **{"num_hidden_layers": "num_encoder_layers"},
  **{"max_position_embeddings": "max_positions"},
  **{"type_vocab_size": "token_types", "hidden_act": "activation"},
  **{"layer_norm_eps": "norm_epsilon"},
}
_T5 = {
  **{"vocab_size": "vocab_size", "d_model": "emb_dim", "d_kv": "head_dim"},
  **{"num_heads": "num_heads", "d_ff": "mlp_dim"},
  **{"num_layers": "num_encoder_layers", "dropout_rate": "dropout_rate"},
  "initializer_factor": "embedding_init_stddev",
  "relative_attention_num_buckets": "relative_attention_num_buckets",
  "relative_attention_max_distance": "relative_attention_max_distance",
}
# What a file must say where it says anything: model_type, then the others.
_FIXED = {
  "bert": {
    "position_embedding_type": "absolute",
    **{"pad_token_id": 0, "is_decoder": False, "add_cross_attention": False},
  },
  "t5": {"layer_norm_epsilon": 1e-6, "pad_token_id": 0, "is_decoder": False},
}
_DEFAULTS = {
  "bert": {"layer_norm_eps": 1e-12, "type_vocab_size": 2, "hidden_act": "gelu"},
  "t5": {
    **{"initializer_factor": 1.0, "relative_attention_max_distance": 128},
    **{"feed_forward_proj": "relu", "dropout_rate": 0.0},
  },
}
# By feed_forward_proj: the kernels of the block.
_FEED_FORWARD = {"relu": ("wi", "wo"), "gated-gelu": ("wi_0", "wi_1", "wo")}

# The next-sentence pooler, and indices that old files hold as a tensor.
_IGNORED = {
  *("pooler.dense.weight", "pooler.dense.bias"),
  *("embeddings.position_ids", "encoder.embed_tokens.weight"),
}


class _Modules(NamedTuple):
  """What modules.json lists.

  Attributes:
    pooling: "mean" or "cls".
    dense: folder of the projection, if there is one.
    normalise: whether vectors are brought to unit norm.
  """

  pooling: str
  dense: str | None
  normalise: bool


def read_config(directory: str | pathlib.Path, *, dtype: Any) -> EncoderConfig:
  """The network that the files describe.

  Args:
    directory: where `modules.json` and `config.json` are.
    dtype: "float32" or "bfloat16": what matmul operands are rounded to here.

  Raises:
    CheckpointError: not there, not JSON, an architecture other than BERT's and
      Sentence-T5's, or a field or module that is not known here. Whether it is
      the network of the tensors shows when they are read.
  """
  directory = pathlib.Path(directory)
  path = directory / "config.json"
  values = tensor_files.read_object(path)
  kind = values.pop("model_type", None)
  if kind not in _FIXED:
    raise CheckpointError(
      f"{path}: model_type is {kind!r}, expected one of {sorted(_FIXED)}"
      " (RoBERTa's tokenizers have another padding than id 0)"
    )
  fields = _BERT if kind == "bert" else _T5
  _check_fields(path, values, kind, {*fields, "feed_forward_proj"})
  modules = _read_modules(directory)
  values = _DEFAULTS[kind] | values
  try:
    sizes = {ours: values[theirs] for theirs, ours in fields.items()}
  except KeyError as error:
    raise CheckpointError(f"{path}: {error} is missing") from error
  sizes |= {"pooling": modules.pooling, "normalise": modules.normalise}
  if kind == "t5":
    sizes["gated"] = _gated(path, values["feed_forward_proj"])
    sizes["projected_dim"] = _projected_dim(directory, modules)
  elif modules.dense is not None:
    raise CheckpointError(
      f"{directory / 'modules.json'}: Dense after a BERT is not known here"
    )
  made = encoder.BertConfig if kind == "bert" else sentence_t5.SentenceT5Config
  try:
    return made(**sizes, dtype=dtype)
  except ValueError as error:
    raise CheckpointError(f"{path}: {error}") from error


def load_parameters(
  directory: str | pathlib.Path,
  *,
  config: EncoderConfig,
  shardings: networks.Parameters,
  dtypes: networks.Parameters,
) -> networks.Parameters:
  """Reads the tensors, one at a time, onto their devices.

  Raises:
    CheckpointError: a file missing or cut short, a tensor missing, surplus
      or of another shape, or another vocabulary.
  """
  directory = pathlib.Path(directory)
  if isinstance(config, encoder.BertConfig):
    tensors = _bert_names(config)
  else:
    dense = _read_modules(directory).dense
    tensors = {
      "token_embedder/embedding": Tensor("shared.weight", False),
      **huggingface.stack_names(
        "encoder",
        config.num_encoder_layers,
        _FEED_FORWARD["gated-gelu" if config.gated else "relu"],
      ),
      "projection/kernel": Tensor("linear.weight", True, dense or ""),
    }
  return tensor_files.load_parameters(
    directory,
    network=config,
    tensors=tensors,
    ignored=_IGNORED,
    shardings=shardings,
    dtypes=dtypes,
  )


def _check_fields(
  path: pathlib.Path, values: Mapping[str, Any], kind: str, known: set[str]
) -> None:
  for name, wanted in _FIXED[kind].items():
    if values.get(name, wanted) != wanted:
      raise CheckpointError(
        f"{path}: {name} is {values[name]!r}, expected {wanted!r}"
      )
  unknown = sorted({*values} - known - {*_FIXED[kind]} - _OF_NO_WEIGHT)
  if unknown:
    raise CheckpointError(
      f"{path}: {', '.join(unknown)}: not known here of model_type {kind!r};"
      " vectors of a network that is not understood would be wrong"
    )


def _read_modules(directory: pathlib.Path) -> _Modules:
  path = directory / "modules.json"
  listed = tensor_files.read_json(path)
  try:
    kinds = [module["type"].rsplit(".", 1)[-1] for module in listed]
    folders = dict(zip(kinds, (m["path"] for m in listed), strict=True))
  except (KeyError, TypeError, AttributeError) as error:
    raise CheckpointError(f"{path}: expected a list of modules") from error
  # Each at most once and in this order; the first two always.
  expected = [kind for kind in _MODULES if kind in kinds]
  if kinds != expected or kinds[:2] != list(_MODULES[:2]) or folders[kinds[0]]:
    raise CheckpointError(
      f"{path}: the modules {kinds}, the first in {folders.get(kinds[0])!r};"
      f" expected {list(_MODULES)}, the last two or not, and the first in the"
      " same folder"
    )
  return _Modules(
    _read_pooling(directory / folders["Pooling"] / "config.json"),
    folders.get("Dense"),
    "Normalize" in kinds,
  )


def _read_pooling(path: pathlib.Path) -> str:
  values = tensor_files.read_object(path)
  chosen = values.get("pooling_mode")
  modes = [chosen] if isinstance(chosen, str) else chosen or []
  modes += [
    name.removeprefix("pooling_mode_")
    for name, on in values.items()
    if name.startswith("pooling_mode_") and on
  ]
  known = [_POOLING.get(mode, mode) for mode in modes]
  if len(known) != 1 or known[0] not in encoder.POOLINGS:
    raise CheckpointError(
      f"{path}: pools {known}, expected one of {list(encoder.POOLINGS)}"
    )
  if not values.get("include_prompt", True):
    raise CheckpointError(
      f"{path}: include_prompt is false; pooling without the prompt's tokens"
      " is not known here"
    )
  return known[0]


def _gated(path: pathlib.Path, name: str) -> bool:
  if name not in _FEED_FORWARD:
    raise CheckpointError(
      f"{path}: feed_forward_proj is {name!r}, expected one of"
      f" {list(_FEED_FORWARD)}"
    )
  return name == "gated-gelu"


def _projected_dim(directory: pathlib.Path, modules: _Modules) -> int:
  if modules.dense is None:
    raise CheckpointError(
      f"{directory / 'modules.json'}: no Dense; a Sentence-T5 has a projection"
    )
  path = directory / modules.dense / "config.json"
  values = tensor_files.read_object(path)
  activation = str(values.get("activation_function", "Identity"))
  if values.get("bias", True) or activation.rsplit(".", 1)[-1] != "Identity":
    raise CheckpointError(
      f"{path}: bias is {values.get('bias', True)} and activation_function"
      f" {activation}; expected a projection without either"
    )
  if not isinstance(values.get("out_features"), int):
    raise CheckpointError(f"{path}: out_features is missing")
  return values["out_features"]


def _bert_names(config: encoder.BertConfig) -> dict[str, Tensor]:
  names = {
    "token_embedder/embedding": "embeddings.word_embeddings.weight",
    "positions": "embeddings.position_embeddings.weight",
    "token_types": "embeddings.token_type_embeddings.weight",
    **_norm("embedding_norm", "embeddings.LayerNorm"),
  }
  affine = {}
  for layer in range(config.num_encoder_layers):
    ours, theirs = f"layers_{layer}", f"encoder.layer.{layer}"
    affine |= {
      f"{ours}/attention/{name}": f"{theirs}.attention.self.{name}"
      for name in ("query", "key", "value")
    }
    affine[f"{ours}/attention/out"] = f"{theirs}.attention.output.dense"
    affine[f"{ours}/wi"] = f"{theirs}.intermediate.dense"
    affine[f"{ours}/wo"] = f"{theirs}.output.dense"
    names |= _norm(
      f"{ours}/attention_norm", f"{theirs}.attention.output.LayerNorm"
    )
    names |= _norm(f"{ours}/mlp_norm", f"{theirs}.output.LayerNorm")
  return {
    **{path: Tensor(name, False) for path, name in names.items()},
    **{f"{p}/kernel": Tensor(f"{n}.weight", True) for p, n in affine.items()},
    **{f"{p}/bias": Tensor(f"{n}.bias", False) for p, n in affine.items()},
  }


def _norm(ours: str, theirs: str) -> dict[str, str]:
  return {f"{ours}/scale": f"{theirs}.weight", f"{ours}/bias": f"{theirs}.bias"}
