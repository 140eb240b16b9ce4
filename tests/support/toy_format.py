"""A format for tests: a .keras file under another suffix. `ROW`, added to FORMATS, is all that makes it known."""

from __future__ import annotations

import functools
import shutil

from kattn.export.formats import FLOAT32, Format, Precision
from kattn.export.pipeline import Job, export_model
from kattn.export.proof.keras_runner import KerasRunner
from kattn.export.proof.report import Contents

ROW = Format(
    name="toy",
    title="Toy",
    exporter_path=f"{__name__}:toy",
    runner_path=f"{__name__}:ToyRunner",
    suffix=".toy",
    precisions={"float32": FLOAT32, "rounded": Precision(tolerance=0.1, calibrated=True)},
)


def toy(model, path, *, precision="float32", digits=3, calibration=None, images=None):
    """Write a .toy file."""
    return export_model(
        ROW,
        functools.partial(write, digits=digits),
        model,
        path,
        precision=precision,
        calibration=calibration,
        calibration_images=8,
        images=images,
    )


def write(job: Job, *, digits: int) -> Contents:
    keras_file = job.stage.scratch / "model.keras"
    job.source.reference.save(keras_file)
    shutil.copy(keras_file, job.stage.path)
    return Contents(
        ops={"Toy": 1},
        inputs={"image": {"shape": [None, *job.source.shape]}},
        outputs={name: {} for name in job.source.outputs},
        checks={"digits": str(digits)},
    )


class ToyRunner(KerasRunner):
    """A .toy file, which Keras opens under the suffix it knows."""

    format = "toy"

    def __init__(self, path, threads=1):
        keras_file = path.with_name(f"{path.stem}-opened.keras")
        shutil.copy(path, keras_file)
        try:
            super().__init__(keras_file, threads)
        finally:
            keras_file.unlink()
        self.path = path
