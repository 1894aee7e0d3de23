# SPDX-License-Identifier: Apache-2.0
"""The verb `export`: a run -> a directory in Hugging Face's format."""

import functools
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from data_efficient import gin_config
from data_efficient.data import artifacts, atomic_files
from data_efficient.models import (
  adapter_files,
  checkpoints,
  config_files,
  decoder,
  decoder_configs,
  decoder_files,
  encoder_decoder,
  huggingface,
  networks,
  peft_files,
  tensor_files,
  tokenizer_files,
)
from data_efficient.models.parameter_trees import CheckpointError

_CONFIG = "config.gin"
_TOKENIZER_CONFIG = "tokenizer_config.json"
# What a published checkpoint has beside its network.
_TOKENIZER_FILES = (
  "tokenizer.json",
  _TOKENIZER_CONFIG,
  "special_tokens_map.json",
  "added_tokens.json",
  "spiece.model",
  "tokenizer.model",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
  "generation_config.json",
)


class _Format(NamedTuple):
  """How one kind of network is written, and read back.

  Attributes:
    save: writes config.json and tensors.
    read_config: reads the former.
    values: of config.json, by network.
    pieces: what a SentencePiece model is called.
  """

  save: Callable[..., None]
  read_config: Callable[..., networks.Network]
  values: Callable[..., dict[str, Any]]
  pieces: str


_FORMATS = {
  encoder_decoder.T5Config: _Format(
    huggingface.save,
    huggingface.read_config,
    config_files.of_t5,
    "spiece.model",
  ),
  decoder.DecoderConfig: _Format(
    decoder_files.save,
    decoder_configs.read_config,
    config_files.of_decoder,
    "tokenizer.model",
  ),
}


def export(
  *,
  checkpoint: str,
  network: networks.Network,
  tokenizer: str,
  output: str,
  dtype: str,
  adapter_alone: bool,
) -> None:
  """Writes config.json, model.safetensors, the tokenizer and config.gin.

  What it writes is a checkpoint for any program that reads Hugging Face's
  files, and a JUDGE_CHECKPOINT here. Of a run that trained an adapter it is
  the network that the adapter makes of its base, or the adapter alone in
  the files of the library PEFT: adapter_config.json and
  adapter_model.safetensors.

  Args:
    checkpoint: a run's directory, or a checkpoint in any format of
      `checkpoints.load_parameters`.
    network: of the checkpoint.
    tokenizer: its tokenizer: a directory with Hugging Face's files, such as
      the base's, or a tokenizer.json or SentencePiece model.
    output: is made; whole, or not there.
    dtype: "float32" or "bfloat16", of the tensors of a network.
    adapter_alone: see above.

  Raises:
    ArtifactError: `output` is there, and is not what this would make.
    CheckpointError: no such checkpoint, another network, or one that
      Hugging Face's files have no name for.
    TokenizerError: no such tokenizer.
    ValueError: another type, or a tokenizer with more ids than the network.
  """
  if dtype not in ("float32", "bfloat16"):
    raise ValueError(f"dtype = {dtype!r}: expected 'float32' or 'bfloat16'")
  if _made_before(pathlib.Path(output)):
    print(f"{output}: done before")
    return
  form = _FORMATS.get(type(network))
  if form is None:
    raise CheckpointError(
      f"a {type(network).__name__} has no counterpart among Hugging Face's"
      f" networks; exported are {', '.join(c.__name__ for c in _FORMATS)}"
    )
  files = _tokenizer_files(pathlib.Path(tokenizer), form)
  values = _values(tokenizer, network, form)
  save = _adapter if adapter_alone else _network
  write = save(checkpoint, network, form, values, dtype)
  with atomic_files.new_directory(output) as directory:
    write(directory)
    for name, path in files.items():
      shutil.copyfile(path, directory / name)
    _describe_tokenizer(directory, values)
    config = gin_config.resolved()
    (directory / _CONFIG).write_text(config, encoding="utf-8")
  kind = "adapter" if adapter_alone else f"{dtype} network"
  print(f"{output}: {kind} of {networks.parameter_count(network):,} parameters")


def _network(
  checkpoint: str,
  network: networks.Network,
  form: _Format,
  values: dict[str, Any],
  dtype: str,
) -> Callable[[pathlib.Path], None]:
  """Writes a whole network into a directory; all of it is read before."""
  parameters = checkpoints.load_parameters(checkpoint, config=network)
  return functools.partial(
    form.save,
    parameters=parameters,
    config=network,
    dtype=dtype,
    values=values,
  )


def _adapter(
  checkpoint: str, network: networks.Network, *_: Any
) -> Callable[[pathlib.Path], None]:
  """Writes an adapter alone."""
  record = adapter_files.find(pathlib.Path(checkpoint).absolute())
  if record is None:
    raise CheckpointError(
      f"{checkpoint}: no run that trained an adapter"
      f" ({adapter_files.NAME} is not there): bind ADAPTER_ALONE = False"
    )
  device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  adapter = checkpoints.load_adapter(
    checkpoint,
    record,
    config=network,
    shardings=jax.tree.map(
      lambda _: device, networks.parameter_shapes(network)
    ),
  )
  return functools.partial(
    peft_files.save,
    adapter=adapter,
    network=network,
    lora=record.lora,
    base_model=record.base.checkpoint,
  )


def _made_before(output: pathlib.Path) -> bool:
  if not output.exists():
    return False
  kept = output / _CONFIG
  if kept.is_file() and kept.read_text() == gin_config.resolved():
    return True
  raise artifacts.ArtifactError(
    f"{output}: exists already, and was not made by this configuration;"
    " nothing is overwritten: choose another OUTPUT, or remove it"
  )


def _tokenizer_files(
  place: pathlib.Path, form: _Format
) -> dict[str, pathlib.Path]:
  """What is copied, by the name of the copy."""
  if place.is_dir():
    tokenizer_files.read(str(place))
    found = {name: place / name for name in _TOKENIZER_FILES}
    return {name: path for name, path in found.items() if path.is_file()}
  read = tokenizer_files.read(str(place))
  is_json = isinstance(read, tokenizer_files.TokenizerJson)
  return {"tokenizer.json" if is_json else form.pieces: place}


def _values(
  tokenizer: str, network: networks.Network, form: _Format
) -> dict[str, Any]:
  """What config.json says.

  Where the tokenizer lies in a checkpoint of this very network, what its own
  file says; else the network, and the ids of the tokenizer's marks.
  """
  read = tokenizer_files.read(tokenizer)
  if read.size > network.vocab_size:
    raise ValueError(
      f"{tokenizer}: has {read.size} ids, the network {network.vocab_size}:"
      " name the tokenizer that it was trained with"
    )
  published = pathlib.Path(tokenizer, "config.json")
  if published.is_file():
    try:
      found = form.read_config(published.parent, dtype=network.dtype)
    except CheckpointError:
      found = None
    if config_files.same_network(found, network):
      return tensor_files.read_object(published)
  begin = getattr(read, "begin_ids", ())
  return form.values(network) | {
    "bos_token_id": begin[0] if begin else None,
    "eos_token_id": read.eos_id,
  }


def _describe_tokenizer(
  directory: pathlib.Path, values: dict[str, Any]
) -> None:
  """Names the marks of a tokenizer.json that came alone."""
  path = directory / "tokenizer.json"
  if not path.is_file() or (directory / _TOKENIZER_CONFIG).is_file():
    return
  pieces = {
    token["id"]: token["content"]
    for token in json.loads(path.read_text(encoding="utf-8"))["added_tokens"]
  }
  marks = {
    name.removesuffix("_id"): pieces[number]
    for name, number in values.items()
    if name in ("bos_token_id", "eos_token_id", "pad_token_id")
    and number in pieces
  }
  described = {"tokenizer_class": "PreTrainedTokenizerFast", **marks}
  text = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
  (directory / _TOKENIZER_CONFIG).write_text(text, encoding="utf-8")
