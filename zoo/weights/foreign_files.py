"""Tensors of other frameworks' files, by name, without executing anything that a file holds."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

TORCH_SUFFIXES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".pth.tar")
HDF5_SUFFIXES = (".h5", ".hdf5")
MAPPED = 16 << 20  # bytes of a mapped file to read before it is mapped anew
SUFFIXES = (".safetensors", *TORCH_SUFFIXES, *HDF5_SUFFIXES, ".npz")
# Where training scripts keep the network in what they save, best first.
CHECKPOINT_KEYS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
    "state_dict_ema",
    "model_ema",
)


@dataclass(frozen=True)
class Tensors:
    """What a source holds.

    Attributes:
        shapes: Of all its tensors, by name; parts of a name are joined by dots.
        read: Name to the array.
    """

    shapes: dict[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]


@contextlib.contextmanager
def open_tensors(source: Any) -> Iterator[Tensors]:
    """The tensors of a file, a Keras model, or a mapping of names to arrays (a torch state dict is one).

    Files: `.safetensors`; torch's pickles (`.pth`, `.pt`, `.th`, `.bin`, `.ckpt`, `.pth.tar`), only by torch's loader
    of plain tensors, for which torch must be installed; the HDF5 weights of Keras 2; `.npz`.

    Raises: FileNotFoundError; ValueError for a file of another kind, a broken one, or one that wants to run code.
    """
    if isinstance(source, Mapping):
        yield _of_mapping(source)
    elif hasattr(source, "weights") and hasattr(source, "layers"):
        yield _of_mapping({variable.path.replace("/", "."): variable for variable in source.weights})
    else:
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"{str(path)!r}: there is no such file.")
        with _opener(path)(path) as tensors:
            yield tensors


def _opener(path: Path) -> Callable[[Path], Any]:
    name = path.name.lower()
    if name.endswith(".safetensors"):
        return _safetensors
    if name.endswith(TORCH_SUFFIXES):
        return _torch
    if name.endswith(HDF5_SUFFIXES):
        return _keras2
    if name.endswith(".npz"):
        return _npz
    raise ValueError(f"{str(path)!r}: weights of other collections end in {', '.join(SUFFIXES)}.")


def _of_mapping(tensors: Mapping[str, Any]) -> Tensors:
    tensors = _without_common_prefix(tensors)
    return Tensors({name: tuple(one.shape) for name, one in tensors.items()}, lambda name: _array(tensors[name]))


def _array(tensor: Any) -> np.ndarray:
    if hasattr(tensor, "detach"):  # torch's, of which NumPy does not know bfloat16
        tensor = tensor.detach().cpu()
        return (tensor.float() if tensor.is_floating_point() and tensor.element_size() == 2 else tensor).numpy()
    if isinstance(tensor, np.ndarray):
        return tensor
    import keras

    return keras.ops.convert_to_numpy(tensor)


def _without_common_prefix(tensors: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without what stands before every name: module. of data parallel training, model. of training frameworks."""
    while tensors:
        first = next(iter(tensors)).partition(".")[0] + "."
        if not all(name.startswith(first) and len(name) > len(first) for name in tensors):
            break
        if not any("." in name[len(first) :] for name in tensors):
            break  # a single layer's variables
        tensors = {name[len(first) :]: one for name, one in tensors.items()}
    return tensors


@contextlib.contextmanager
def _safetensors(path: Path) -> Iterator[Tensors]:
    from safetensors import SafetensorError, safe_open

    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(safe_open(path, framework="numpy"))
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
            shapes = {name: tuple(one.get_shape()) for name, one in slices.items()}
            names = _without_common_prefix({name: name for name in shapes})
            touched = 0

            def read(name: str) -> np.ndarray:
                # The library maps the file, and pages once read stay in memory until it is closed.
                nonlocal file, touched
                if touched > MAPPED:
                    stack.pop_all().close()
                    file, touched = stack.enter_context(safe_open(path, framework="numpy")), 0
                value = file.get_tensor(names[name])
                touched += value.nbytes
                return value

            yield Tensors({short: shapes[name] for short, name in names.items()}, read)
    except SafetensorError as problem:
        raise ValueError(f"{str(path)!r} is not a readable safetensors file: {problem}. Get it anew.") from None


@contextlib.contextmanager
def _torch(path: Path) -> Iterator[Tensors]:
    try:
        import torch
    except ImportError:
        raise ValueError(
            f"{str(path)!r} is a pickle of torch, which only torch can read without executing it: pip install torch, "
            "or get the same weights as .safetensors."
        ) from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as problem:
        reason = str(problem).splitlines()[0]
        raise ValueError(
            f"{str(path)!r} holds more than tensors and was not loaded, because a pickle can execute code: {reason} "
            "Save the state dict alone (torch.save(model.state_dict(), ...)) or as .safetensors."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as problem:
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise ValueError(f"{str(path)!r} is not a readable file of torch: {reason} Get it anew.") from None
    yield _of_mapping(_state_dict(content, path))


def _state_dict(content: Any, path: Path) -> dict[str, Any]:
    """The network's tensors in a checkpoint, which may hold others (an optimiser's) and numbers."""
    found = _tensors_of(content)
    if found:
        return found
    inner = {key: _tensors_of(value) for key, value in content.items()} if isinstance(content, Mapping) else {}
    inner = {key: tensors for key, tensors in inner.items() if tensors}
    chosen = next((key for key in CHECKPOINT_KEYS if key in inner), None)
    if chosen is None and len(inner) == 1:
        chosen = next(iter(inner))
    if chosen is None:
        raise ValueError(
            f"{str(path)!r} holds no state dict under {', '.join(CHECKPOINT_KEYS)}. "
            f"It holds: {', '.join(map(str, inner)) or 'no tensors'}. Save the state dict alone."
        )
    return inner[chosen]


def _tensors_of(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    return {str(key): one for key, one in value.items() if hasattr(one, "shape") and hasattr(one, "detach")}


@contextlib.contextmanager
def _keras2(path: Path) -> Iterator[Tensors]:
    """HDF5 as Keras 2 wrote it: a group a layer, whose attribute lists the names of its weights."""
    with readable_hdf5(path) as file:
        root = file.get("model_weights", file)
        if "layer_names" not in root.attrs:
            raise ValueError(
                f"{str(path)!r} is not a weights file of Keras 2. A file of Keras 3 ends in .weights.h5 and loads into "
                "the model that wrote it."
            )
        datasets: dict[str, h5py.Dataset] = {}
        for layer in root.attrs["layer_names"]:
            group = root[_text(layer)]
            for name in map(_text, group.attrs.get("weight_names", ())):
                datasets[name.split(":")[0].replace("/", ".")] = group[name]
        names = _without_common_prefix(datasets)
        yield Tensors({name: tuple(one.shape) for name, one in names.items()}, lambda name: names[name][()])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@contextlib.contextmanager
def readable_hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file that holds its own data: no links to other files. Raises ValueError for any other."""
    try:
        with h5py.File(path, "r") as file:
            _refuse_links(file, path)
            yield file
    except OSError as problem:
        raise ValueError(f"{str(path)!r} is not a readable HDF5 file: {problem}. Get it anew.") from None


def _refuse_links(group: h5py.Group, path: Path) -> None:
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{str(path)!r} holds a link in place of data ({name}) and was not loaded.")
        item = group[name]
        if isinstance(item, h5py.Group):
            _refuse_links(item, path)
        elif item.external or item.is_virtual:
            raise ValueError(f"{str(path)!r} refers to another file ({item.name}) and was not loaded.")


@contextlib.contextmanager
def _npz(path: Path) -> Iterator[Tensors]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = _without_common_prefix({name: name for name in file.files})
            headers = {short: file[name].shape for short, name in arrays.items()}
            yield Tensors(headers, lambda name: file[arrays[name]])
    except (OSError, ValueError, EOFError) as problem:
        raise ValueError(f"{str(path)!r} is not a readable .npz file: {problem}") from None
