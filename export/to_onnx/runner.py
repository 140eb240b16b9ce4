"""Run an .onnx file in onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kattn.export.errors import ExportInputError
from kattn.export.proof.runner import Runner, as_dtype
from kattn.export.to_onnx.inspection import beyond_computing


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
        inputs = self.session.get_inputs()
        if len(inputs) != 1:
            raise ExportInputError(f"{path} takes {len(inputs)} inputs; one, the image, is expected.")
        self.input = inputs[0]
        dims = tuple(d if isinstance(d, int) else None for d in self.input.shape)
        channels = (1, 3, 4)
        layout = self.session.get_modelmeta().custom_metadata_map.get("layout")
        self.nchw = layout == "nchw" if layout else len(dims) == 4 and dims[1] in channels and dims[3] not in channels
        shape = (dims[2], dims[3], dims[1]) if self.nchw else dims[1:]
        super().__init__(path, shape, dims[0], tuple(output.name for output in self.session.get_outputs()))

    @classmethod
    def beyond_computing(cls, path: Path) -> list[str]:
        """Operators of other domains, and data outside its folder."""
        return beyond_computing(path)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """The images in the input's layout and type."""
        types = {
            "tensor(float)": "float32",
            "tensor(float16)": "float16",
            "tensor(uint8)": "uint8",
            "tensor(int8)": "int8",
        }
        images = as_dtype(images, np.dtype(types.get(self.input.type, "float32")))
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if self.nchw else images

    def decode(self, name: str, value: np.ndarray) -> np.ndarray:
        """An output as float32, maps with their channels last."""
        value = value.astype("float32")
        return value.transpose(0, 2, 3, 1) if self.nchw and value.ndim == 4 else value

    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """One run of the session."""
        results = self.session.run(list(self.outputs), {self.input.name: tensor})
        return dict(zip(self.outputs, results, strict=True))
