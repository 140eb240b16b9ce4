"""Run an .onnx file in onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kattn.export.proof.runner import Runner, as_dtype
from kattn.export.to_onnx.inspection import beyond_computing
from kattn.facts.recorded import from_texts

CHANNELS = (1, 3, 4)  # of images: where a file does not say its layout
TYPES = {
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    **{f"tensor({kind}{bits})": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}


class ONNXRunner(Runner):
    """An .onnx file in onnxruntime on the processor."""

    format = "onnx"
    runtime = ("onnxruntime",)
    takes_threads = True

    def __init__(self, path: Path, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        layout = self.session.get_modelmeta().custom_metadata_map.get("layout")
        self.types, self.nchw, inputs, batches = {}, set(), {}, []
        for value in self.session.get_inputs():
            dims = tuple(d if isinstance(d, int) else None for d in value.shape)
            if len(dims) == 4 and (layout == "nchw" if layout else dims[1] in CHANNELS and dims[3] not in CHANNELS):
                self.nchw.add(value.name)
                dims = (dims[0], dims[2], dims[3], dims[1])
            self.types[value.name] = TYPES.get(value.type, "float32")
            inputs[value.name] = dims[1:]
            batches.append(dims[0] if dims else None)
        given = self.session.get_outputs()
        super().__init__(path, inputs, batches[0], tuple(output.name for output in given))
        self.dtypes = self.types
        for output in given:
            sides = tuple(side if isinstance(side, int) else None for side in output.shape[1:])
            self.output_shapes[output.name] = (*sides[1:], sides[0]) if self.nchw and len(sides) == 3 else sides

    def recorded(self) -> dict[str, Any]:
        """What the file's metadata says of the model."""
        return from_texts(self.session.get_modelmeta().custom_metadata_map)

    @classmethod
    def beyond_computing(cls, path: Path) -> list[str]:
        """Operators of other domains, and data outside its folder."""
        return beyond_computing(path)

    def encode(self, name: str, values: np.ndarray) -> np.ndarray:
        """The images in the input's layout and type."""
        values = as_dtype(values, np.dtype(self.types[name]))
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2)) if name in self.nchw else values

    def decode(self, name: str, value: np.ndarray) -> np.ndarray:
        """An output as float32, maps with their channels last."""
        value = value.astype("float32")
        return value.transpose(0, 2, 3, 1) if self.nchw and value.ndim == 4 else value

    def run(self, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One run of the session."""
        return dict(zip(self.outputs, self.session.run(list(self.outputs), tensors), strict=True))
