"""Models on disk in the hub layout: a folder with `config.json` and `model.safetensors`."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from flowact.core.errors import CheckpointError, ConfigError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_FORMAT = "flowact-model-1"

M = TypeVar("M", bound=nn.Module)


def save_model(module: nn.Module, config: Any, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a network and its configuration; a sharded network is gathered first, so every process must call this.

    Args:
        module: its class is built as `Class(config)`.
        config: frozen dataclass of numbers, strings, booleans, None, tuples, dicts and further dataclasses.
        folder: made if it is missing; what it held is replaced.
        dtype: number format of floating-point tensors in the file; None keeps each as it is.

    Raises:
        CheckpointError: a tensor is not finite, or not any more in `dtype`.
        ConfigError: the configuration holds something that JSON cannot.
    """
    tensors = {name: _for_file(tensor, dtype) for name, tensor in module.state_dict().items()}
    name = _class_name(module)
    _check_finite(tensors, f"cannot save {name} to {folder}")
    text = json.dumps({"format": _FORMAT, "model": name, "config": config_to_json(config)}, indent=2)
    if _is_shared() and torch.distributed.get_rank() != 0:
        return
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{WEIGHTS_FILE}.unfinished"
    save_file(tensors, unfinished, metadata={"format": "pt"})
    unfinished.replace(folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def _is_shared() -> bool:
    """Whether this process trains together with others."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _class_name(module: nn.Module) -> str:
    """The network's own class; FSDP puts one of its making before it."""
    if not _is_shared():
        return type(module).__name__
    from torch.distributed.fsdp import FSDPModule

    return next(kind.__name__ for kind in type(module).__mro__ if not issubclass(kind, FSDPModule))


def load_model(cls: type[M], folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> M:
    """Build `cls(config)` from a folder and fill it; returned in evaluation mode.

    Args:
        cls: network whose `__init__` takes a `config` annotated with its dataclass.
        folder: as `save_model` writes it.
        device: where to put it.
        dtype: number format of its floating-point tensors; None keeps the network's own (usually float32).

    Raises:
        CheckpointError: a file is missing or damaged, belongs to another class, or does not fit the network.
    """
    config = load_config(cls, folder)
    path = folder / WEIGHTS_FILE
    tensors = _read_tensors(path)
    module = cls(config)
    own = module.state_dict()
    missing, unknown = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    if missing or unknown:
        raise CheckpointError(
            f"{path} does not fit {cls.__name__}: {len(missing)} tensors are missing {missing[:3]}, {len(unknown)} are "
            f"unknown {unknown[:3]}; get the weights made for this version of FlowAct"
        )
    shapes = [
        (key, tuple(tensors[key].shape), tuple(own[key].shape)) for key in own if tensors[key].shape != own[key].shape
    ]
    if shapes:
        raise CheckpointError(
            f"{path} does not fit {CONFIG_FILE} beside it: (tensor, got, expected) {shapes[:3]}; "
            "both files must come from the same place"
        )
    _check_finite(tensors, f"cannot use {path}")
    module.load_state_dict(tensors)
    return module.to(device=device, dtype=dtype).eval()


def load_config(cls: type[nn.Module], folder: Path) -> Any:
    """The configuration of a saved network of class `cls`.

    Raises:
        CheckpointError: the file is missing or damaged or belongs to another class.
    """
    path = folder / CONFIG_FILE
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}; expected a model folder as FlowAct saves it") from error
    if not isinstance(saved, dict) or saved.get("format") != _FORMAT or saved.get("model") != cls.__name__:
        got = (saved.get("format"), saved.get("model")) if isinstance(saved, dict) else type(saved).__name__
        raise CheckpointError(
            f"{path} holds {got}, expected {(_FORMAT, cls.__name__)}: point to the right model folder"
        )
    try:
        return config_from_json(get_type_hints(cls.__init__)["config"], saved["config"])
    except (ConfigError, KeyError) as error:
        raise CheckpointError(f"{path} does not fit this version of {cls.__name__}: {error}") from error


def config_to_json(config: Any) -> Any:
    """A configuration as what JSON knows: dataclasses become objects, tuples become lists.

    Raises:
        ConfigError: a value is of no kind that comes back unchanged.
    """
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {field.name: config_to_json(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, tuple):
        return [config_to_json(value) for value in config]
    if isinstance(config, Mapping) and all(isinstance(key, str) for key in config):
        return {key: config_to_json(value) for key, value in config.items()}
    if config is None or isinstance(config, (bool, int, float, str)):
        return config
    raise ConfigError(
        f"cannot write {config!r} into {CONFIG_FILE}: expected dataclasses, tuples, numbers, strings, booleans or None"
    )


def config_from_json(kind: Any, value: Any) -> Any:
    """The inverse of `config_to_json`: `value` as an instance of the annotation `kind`.

    Raises:
        ConfigError: an unknown field, a missing one, or a value of the wrong kind.
    """
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass_from_json(kind, value)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return config_from_json(next(option for option in inner if option is not type(None)), value)
    if origin is Literal and value in inner:
        return value
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[-1] is ... else list(inner)
        if len(kinds) == len(value):
            return tuple(config_from_json(each, item) for each, item in zip(kinds, value))
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {key: config_from_json(inner[1], item) for key, item in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    raise ConfigError(f"got {value!r}, expected {kind}")


def _dataclass_from_json(kind: type[Any], value: Any) -> Any:
    hints = get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(value, dict) or set(value) - known:
        raise ConfigError(f"got {value!r} for {kind.__name__}, expected the fields {sorted(known)}")
    fields = {}
    for name, item in value.items():
        try:
            fields[name] = config_from_json(hints[name], item)
        except ConfigError as error:
            raise ConfigError(f"{kind.__name__}.{name}: {error}") from error
    try:
        return kind(**fields)
    except TypeError as error:
        raise ConfigError(f"{kind.__name__}: {error}") from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            if file.read(19) == b"version https://git":
                raise CheckpointError(f"{path} is a Git LFS pointer, not the weights: run git lfs pull")
        return load_file(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error}; expected a model folder as FlowAct saves it") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or cut off ({error}): get it again") from error


def _for_file(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    # Asked by name: importing the class (torch.distributed.tensor) costs every start of the program a second.
    gather = getattr(tensor, "full_tensor", None)
    complete: Tensor = tensor if gather is None else gather()
    wanted = dtype if dtype is not None and complete.is_floating_point() else complete.dtype
    # A copy of each: tied weights share memory, which the format refuses.
    return complete.detach().to("cpu", wanted, copy=True).contiguous()


def _check_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    broken = [key for key, t in tensors.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
    if broken:
        raise CheckpointError(
            f"{what}: {len(broken)} tensors are not finite, such as {broken[:3]}; train or get it again"
        )
