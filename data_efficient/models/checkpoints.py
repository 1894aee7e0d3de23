# SPDX-License-Identifier: Apache-2.0
"""Published and trained weights to parameters, and parameters to disk.

Four formats, told apart by their files:

* ours (Orbax): what `save_parameters` writes and what the local engine leaves
  in RUN/checkpoints; the parameters are under the key "parameters";
* T5X's (Orbax): what `t5x.train` leaves, CHECKPOINT/state, key "target";
* T5X's before Orbax: `t5x_legacy`;
* Hugging Face's T5 1.1 and Flan-T5: `huggingface`; encoders: `encoder_files`.

An adapter, of a run (`adapter_files`) or of the library PEFT (`peft_files`), is
read as the network that it makes of its base.
"""

import functools
import pathlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from data_efficient.models import (
  adapter_files,
  adapters,
  decoder,
  decoder_files,
  encoder_decoder,
  encoder_files,
  fingerprints,
  huggingface,
  networks,
  parameter_trees,
  peft_files,
  t5x_legacy,
)
from data_efficient.models.parameter_trees import CheckpointError

_KEYS = ("parameters", "target")
_ITEMS = (".", "default", "state")
_STEP = re.compile(r"(?:checkpoint_)?(\d+)")


class _Item(NamedTuple):
  """An Orbax item and where in it the parameters are."""

  directory: pathlib.Path
  key: str
  shapes: dict[str, tuple[int, ...]]


def save_parameters(
  directory: str | pathlib.Path, parameters: networks.Parameters
) -> None:
  """Writes parameters with Orbax; complete or not there at all.

  Raises:
    CheckpointError: `directory` exists.
  """
  directory = pathlib.Path(directory).absolute()
  if directory.exists():
    raise CheckpointError(
      f"{directory}: exists already; parameters are never overwritten, choose"
      " another directory or remove it"
    )
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(directory, {_KEYS[0]: parameters})


def load_parameters(
  directory: str | pathlib.Path,
  *,
  config: networks.Network,
  shardings: Any = None,
  dtypes: Any = None,
) -> networks.Parameters:
  """Reads the parameters of a checkpoint in any of these formats.

  Args:
    directory: the checkpoint, or a directory of numbered checkpoints (or a
      run with such a directory in `checkpoints`), of which the last is read.
    config: the network that they must fit, tensor by tensor.
    shardings: a tree like the parameters' (`partitioning.parameter_shardings`);
      the first device by default.
    dtypes: a tree like the parameters', of what each is stored as
      (`networks.operand_dtypes`); float32 by default, whatever the file's
      precision.

  Returns:
    A nested dict of arrays; of an adapter the base's with the adapter in them.

  Raises:
    CheckpointError: nothing there, an unknown format, a file cut short,
      tensors that are not the network's, or an adapter of another base.
  """
  directory = pathlib.Path(directory).absolute()
  if not directory.is_dir():
    raise CheckpointError(
      f"{directory}: no such checkpoint directory; expected a checkpoint of"
      " ours or T5X's, or Hugging Face files"
    )
  if shardings is None:
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shardings = jax.tree.map(
      lambda _: device, networks.parameter_shapes(config)
    )
  if dtypes is None:
    dtypes = jax.tree.map(
      lambda _: "float32", networks.parameter_shapes(config)
    )
  if huggingface.is_checkpoint(directory):
    if isinstance(config, encoder_decoder.T5Config):
      load = huggingface.load_parameters
    elif isinstance(config, encoder_files.EncoderConfig):
      load = encoder_files.load_parameters
    elif isinstance(config, decoder.DecoderConfig):
      load = decoder_files.load_parameters
    else:
      raise CheckpointError(
        f"{directory}: Hugging Face's format is read for T5 1.1 and encoders,"
        f" the network is a {type(config).__name__}"
      )
    return load(directory, config=config, shardings=shardings, dtypes=dtypes)
  load = functools.partial(
    load_parameters, config=config, shardings=shardings, dtypes=dtypes
  )
  if peft_files.is_adapter(directory):
    lora, adapter = peft_files.load(directory, network=config)
    merged = adapters.merged(load(peft_files.base(directory)), adapter, lora)
    return jax.tree.map(jax.device_put, merged, shardings)
  record = adapter_files.find(directory)
  if record is not None:
    return _load_adapted(directory, record, load, config, shardings)
  for root in _roots(directory):
    if t5x_legacy.is_checkpoint(root):
      return t5x_legacy.load_parameters(
        root, config=config, shardings=shardings, dtypes=dtypes
      )
  return _load_orbax(
    _find_item(directory),
    shapes=networks.parameter_shapes(config),
    shardings=shardings,
    dtypes=dtypes,
  )


def load_adapter(
  directory: str | pathlib.Path,
  record: adapter_files.Record,
  *,
  config: networks.Network,
  shardings: Any,
) -> adapters.Adapter:
  """Reads the adapter of a run alone.

  Args:
    directory: see `load_parameters`.
    record: the run's.
    config: the network that it is of.
    shardings: a tree like the parameters'.

  Raises:
    CheckpointError: a file cut short, or another network's adapter.
  """
  shapes = adapters.shapes(config, record.lora)
  return _load_orbax(
    _find_item(pathlib.Path(directory).absolute()),
    shapes=shapes,
    shardings=adapters.shardings(config, record.lora, shardings),
    dtypes=jax.tree.map(lambda _: "float32", shapes),
  )


def _load_adapted(
  directory: pathlib.Path,
  record: adapter_files.Record,
  load: Callable[[str], networks.Parameters],
  config: networks.Network,
  shardings: Any,
) -> networks.Parameters:
  base = record.base.checkpoint
  if not pathlib.Path(base).is_dir():
    raise CheckpointError(
      f"{directory}: an adapter of {base}, which is not there: bring it back,"
      f" or name its new place in {adapter_files.NAME} (it is checked that it"
      " is the same)"
    )
  parameters = load(base)
  found = adapter_files.Base(base, fingerprints.fingerprint(parameters))
  adapter_files.check_base(record, found, where=str(directory))
  adapter = load_adapter(directory, record, config=config, shardings=shardings)
  merged = adapters.merged(parameters, adapter, record.lora)
  return jax.tree.map(jax.device_put, merged, shardings)


def latest(directory: str | pathlib.Path) -> pathlib.Path:
  """What `load_parameters` reads: the last of numbered checkpoints, or this.

  Raises:
    CheckpointError: no such directory.
  """
  directory = pathlib.Path(directory).absolute()
  if not directory.is_dir():
    raise CheckpointError(f"{directory}: no such checkpoint directory")
  return _roots(directory)[-1]


def _load_orbax(
  item: _Item, *, shapes: Any, shardings: Any, dtypes: Any
) -> networks.Parameters:
  expected = parameter_trees.flatten(shapes)
  parameter_trees.check(
    item.shapes,
    {name: shape.shape for name, shape in expected.items()},
    where=str(item.directory),
  )
  arguments = jax.tree.map(
    lambda sharding, dtype: ocp.ArrayRestoreArgs(
      sharding=sharding, dtype=jnp.dtype(dtype), restore_type=jax.Array
    ),
    shardings,
    dtypes,
  )
  try:
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
      restored = checkpointer.restore(
        item.directory,
        args=ocp.args.PyTreeRestore(
          item={item.key: shapes},
          restore_args={item.key: arguments},
          partial_restore=True,
        ),
      )
  except Exception as error:  # Orbax raises whatever its storage raises.
    raise _broken(item.directory, error) from error
  return restored[item.key]


def _find_item(directory: pathlib.Path) -> _Item:
  """The Orbax item in or below a directory."""
  for root in _roots(directory):
    for name in _ITEMS:
      if (root / name / "_METADATA").is_file():
        return _open_item(root / name)
  raise CheckpointError(
    f"{directory}: holds no checkpoint in a known format; expected an Orbax"
    " checkpoint (`_METADATA`, or `default/` or `state/` with it), numbered"
    " directories of those, T5X's `checkpoint` with its zarr arrays, or"
    " config.json with model.safetensors"
  )


def _roots(directory: pathlib.Path) -> list[pathlib.Path]:
  """Where a checkpoint may be: here, or the last of numbered ones."""
  below = (directory, directory / "checkpoints")
  return [directory, *(path for d in below for path in _numbered(d)[-1:])]


def latest_step(directory: str | pathlib.Path) -> int | None:
  """Step of the last finished checkpoint in a directory of them, if any."""
  numbered = _numbered(pathlib.Path(directory))
  return int(_STEP.fullmatch(numbered[-1].name)[1]) if numbered else None


def _numbered(directory: pathlib.Path) -> list[pathlib.Path]:
  """Finished checkpoints by their step; unfinished ones have other names."""
  if not directory.is_dir():
    return []
  steps = [(_STEP.fullmatch(path.name), path) for path in directory.iterdir()]
  found = [(int(match[1]), path) for match, path in steps if match]
  return [path for _, path in sorted(found)]


def _open_item(directory: pathlib.Path) -> _Item:
  try:
    with ocp.PyTreeCheckpointer() as checkpointer:
      tree = checkpointer.metadata(directory).item_metadata.tree
  except Exception as error:  # Orbax raises whatever its storage raises.
    raise _broken(directory, error) from error
  for key in _KEYS:
    if key in tree:
      leaves = parameter_trees.flatten(tree[key])
      shapes = {name: tuple(leaf.shape) for name, leaf in leaves.items()}
      return _Item(directory, key, shapes)
  raise CheckpointError(
    f"{directory}: an Orbax checkpoint of {sorted(tree)}; expected the"
    f" parameters under one of {list(_KEYS)}"
  )


def _broken(directory: pathlib.Path, error: Exception) -> CheckpointError:
  reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
  return CheckpointError(
    f"{directory}: a file of this checkpoint is missing or cut short; copy it"
    f" again or use an earlier one ({reason})"
  )
