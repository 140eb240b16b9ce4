"""Tensors of other frameworks' files, by name, without executing anything that a file holds.

Torch's checkpoints are in `torch_files.py`, Keras's files in `keras_files.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kattn.npz import open_npz
from kattn.zoo.weights.files import keras_files, torch_files
from kattn.zoo.weights.naming.recognition import without_prefix

MAPPED = 16 << 20  # bytes of a mapped file to read before it is mapped anew
SUFFIXES = (".safetensors", *torch_files.SUFFIXES, *keras_files.SUFFIXES, ".npz")
Read = Callable[[str], np.ndarray]
Content = tuple[dict[str, tuple[int, ...]], Read]  # shapes by name, and what reads a tensor


@dataclass(frozen=True)
class Tensors:
    """What a source holds.

    Attributes:
        shapes: Of all its tensors, by name; parts of a name are joined by dots.
        read: Name to the array.
        outside: Names that do not lie where the network's lie, such as a loss's weights.
    """

    shapes: dict[str, tuple[int, ...]]
    read: Read
    outside: frozenset[str] = frozenset()


@contextlib.contextmanager
def open_tensors(source: Any, *, ema: bool = False) -> Iterator[Tensors]:
    """The tensors of a file, a Keras model, or a mapping of names to arrays (a torch state dict is one).

    Files: `.safetensors`; torch's pickles (`.pth`, `.pt`, `.th`, `.bin`, `.ckpt`, `.pth.tar`), only by torch's loader
    of plain tensors, for which torch must be installed; Keras's `.h5` and `.keras`; `.npz`.

    Args:
        source: The file, model or mapping; what this function gave is given back.
        ema: Of a checkpoint that holds averaged weights beside the trained ones: take the averaged.

    Raises: FileNotFoundError; ValueError for a file of another kind, a broken one, one that wants to run code, or one
        without averaged weights where they are asked for.
    """
    if isinstance(source, Tensors):
        yield source
        return
    with _opened(source, ema) as (shapes, read):
        names, outside = without_prefix(shapes)
        yield Tensors({short: shapes[name] for short, name in names.items()}, lambda name: read(names[name]), outside)


@contextlib.contextmanager
def _opened(source: Any, ema: bool) -> Iterator[Content]:
    if isinstance(source, Mapping):
        yield _of_mapping(torch_files.choose(source, "the source", ema))
    elif hasattr(source, "weights") and hasattr(source, "layers"):
        yield _of_mapping({variable.path.replace("/", "."): variable for variable in source.weights})
    else:
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"{str(path)!r}: there is no such file.")
        if path.name.lower().endswith(torch_files.SUFFIXES):
            yield _of_mapping(torch_files.load(path, ema))
        else:
            with _opener(path)(path) as content:
                yield content


def _opener(path: Path) -> Callable[[Path], AbstractContextManager[Content]]:
    openers: dict[str, Callable[[Path], AbstractContextManager[Content]]] = {
        ".safetensors": _safetensors,
        ".npz": open_npz,
        **dict.fromkeys(keras_files.SUFFIXES, keras_files.open_keras),
    }
    for suffix, opener in openers.items():
        if path.name.lower().endswith(suffix):
            return opener
    raise ValueError(f"{str(path)!r}: weights of other collections end in {', '.join(SUFFIXES)}.")


def _of_mapping(tensors: Mapping[str, Any]) -> Content:
    return {name: tuple(one.shape) for name, one in tensors.items()}, lambda name: _array(tensors[name])


def _array(tensor: Any) -> np.ndarray:
    if hasattr(tensor, "detach"):  # torch's, of which NumPy does not know bfloat16
        tensor = tensor.detach().cpu()
        return (tensor.float() if tensor.is_floating_point() and tensor.element_size() == 2 else tensor).numpy()
    if isinstance(tensor, np.ndarray):
        return tensor
    import keras

    return keras.ops.convert_to_numpy(tensor)


@contextlib.contextmanager
def _safetensors(path: Path) -> Iterator[Content]:
    from safetensors import SafetensorError, safe_open

    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(safe_open(path, framework="numpy"))
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
            touched = 0

            def read(name: str) -> np.ndarray:
                # The library maps the file, and pages once read stay in memory until it is closed.
                nonlocal file, touched
                if touched > MAPPED:
                    stack.pop_all().close()
                    file, touched = stack.enter_context(safe_open(path, framework="numpy")), 0
                value = file.get_tensor(name)
                touched += value.nbytes
                return value

            yield {name: tuple(one.get_shape()) for name, one in slices.items()}, read
    except SafetensorError as problem:
        raise ValueError(f"{str(path)!r} is not a readable safetensors file: {problem}. Get it anew.") from None
