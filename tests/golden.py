"""Compare kattn's blocks with reference vectors.

usage: python tests/golden.py FILE.npz [FILE.npz ...]

A file holds inputs (x, or x0, x1, ...), outputs (y, y1, ...), a JSON `config` and the weights under `w/<torch name>`
in torch's layout. The block is the file name up to the first "-" ("se-max.npz" is a squeeze-excite). One line a file;
the exit status is non-zero when one of them is missed. Adapters, which build a block from its config and hand it the
weights, live in tests/golden_adapters/, one file a family.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))


@dataclass
class Weights:
    """Torch-layout tensors by name; remembers which were read, so that none is forgotten."""

    tensors: dict[str, np.ndarray]
    used: set[str] = field(default_factory=set)

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def __getitem__(self, name: str) -> np.ndarray:
        self.used.add(name)
        return self.tensors[name]

    def names(self, prefix: str) -> list[str]:
        return sorted(n for n in self.tensors if n.startswith(prefix))

    def ignore(self, *names: str) -> None:
        """Mark tensors that no output depends on."""
        self.used.update(names)

    def unused(self) -> list[str]:
        return sorted(set(self.tensors) - self.used)


def assign(variable: Any, value: np.ndarray, what: str) -> None:
    if tuple(variable.shape) != value.shape:
        raise ValueError(f"{what}: the layer has shape {tuple(variable.shape)}, the file {value.shape}")
    variable.assign(value)


def load_conv(layer: Any, w: Weights, name: str) -> None:
    """Convolution (O, I, h, w) or dense (O, I) weights into a Keras convolution or dense layer."""
    kernel = w[f"{name}.weight"]
    if kernel.ndim == 2 and len(layer.kernel.shape) == 4:
        kernel = kernel[:, :, None, None]
    kernel = {2: lambda k: k.T, 3: lambda k: k.transpose(2, 1, 0), 4: lambda k: k.transpose(2, 3, 1, 0)}[kernel.ndim](
        kernel
    )
    assign(layer.kernel, kernel, f"{name}.weight")
    if layer.use_bias:
        assign(layer.bias, w[f"{name}.bias"], f"{name}.bias")


def load_norm(layer: Any, w: Weights, name: str) -> None:
    """Batch normalisation weights and statistics."""
    assign(layer.gamma, w[f"{name}.weight"], f"{name}.weight")
    assign(layer.beta, w[f"{name}.bias"], f"{name}.bias")
    assign(layer.moving_mean, w[f"{name}.running_mean"], f"{name}.running_mean")
    assign(layer.moving_variance, w[f"{name}.running_var"], f"{name}.running_var")


def has_bias(w: Weights, *names: str) -> bool:
    """Whether the file's layers of these names have biases (all of them, or none)."""
    found = {f"{name}.bias" in w for name in names}
    if len(found) != 1:
        raise ValueError(f"some of {names} have a bias and some have none")
    return found.pop()


# An adapter takes the config, the weights and the inputs, and returns the outputs in the file's order.
Adapter = Callable[[dict[str, Any], Weights, Sequence[np.ndarray]], Sequence[Any]]


def adapters() -> dict[str, Adapter]:
    from support.golden_adapters import ADAPTERS

    return ADAPTERS


def numbered(data: Any, letter: str) -> Iterator[np.ndarray]:
    """x, x0, x1, ... (or y, y1, ...) in order."""
    if letter in data:
        yield data[letter]
    number = 0
    while f"{letter}{number}" in data or number == 0:
        if f"{letter}{number}" in data:
            yield data[f"{letter}{number}"]
        number += 1


def compare(path: Path, tolerance: float = 1e-5) -> float:
    """Largest |a - b| / (1 + max|y|) over the outputs of one file; raises when the file cannot be compared."""
    block = path.stem.split("-")[0]
    known = adapters()
    if block not in known:
        raise KeyError(f"no adapter for block {block!r}; known: {', '.join(sorted(known))}")
    with np.load(path) as data:
        config = json.loads(str(data["config"]))
        weights = Weights({name[2:]: data[name] for name in data.files if name.startswith("w/")})
        inputs, expected = list(numbered(data, "x")), list(numbered(data, "y"))
    outputs = [keras.ops.convert_to_numpy(y) for y in known[block](config, weights, inputs)]
    if weights.unused():
        raise ValueError(f"weights of the file that the block did not take: {weights.unused()}")
    if len(outputs) != len(expected):
        raise ValueError(f"the block gave {len(outputs)} outputs, the file holds {len(expected)}")
    worst = 0.0
    for got, want in zip(outputs, expected, strict=True):
        if got.shape != want.shape:
            raise ValueError(f"output shape {got.shape}, the file has {want.shape}")
        error = float(np.max(np.abs(got.astype("float64") - want))) / (1 + float(np.max(np.abs(want))))
        worst = max(worst, error if np.isfinite(error) else np.inf)
    return worst


def main(paths: Sequence[str], tolerance: float = 1e-5) -> int:
    if not paths:
        print(__doc__)
        return 2
    missed = 0
    for path in map(Path, paths):
        try:
            error = compare(path, tolerance)
            verdict = "ok" if error <= tolerance else "MISS"
            print(f"{verdict:4} {path.name}: {error:.1e} of 1 + max|y| (allowed {tolerance:.0e})")
        except Exception as problem:
            verdict = "FAIL"
            print(f"{verdict} {path.name}: {type(problem).__name__}: {problem}")
        missed += verdict != "ok"
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
