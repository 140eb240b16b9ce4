"""Write the files that `tests/data/before/files.zip` keeps: `python tests/support/write_before.py FILES.ZIP`.

With the kattn of another commit on PYTHONPATH, that commit writes them; only what is public is called. The test of
these files (tests/test_before.py) opens, resumes and evaluates them with the kattn of today.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kattn

OPTIONS = {"depths": (1, 1, 1), "widths": (4, 4, 8), "reduction": 2}
TRAINING = {
    "data": "digits",
    "recipe": "quick",
    "overrides": {"epochs": 2, "batch_size": 32},
    "limit": 320,
    "options": OPTIONS,
}
SEARCH = {
    "space": {"reduction": [1, 2, 4], "depths": [[1, 1, 1]], "widths": [[4, 4, 8]]},
    "overrides": {"epochs": 1, "batch_size": 32},
    "limit": 96,
}


class KillInEpoch(keras.callbacks.Callback):
    """Ends the process in the middle of an epoch, as kill -9 does."""

    def __init__(self, epoch):
        super().__init__()
        self.last = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.last and batch == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def write_models(folder):
    """A .keras file, a .weights.h5 and a .tflite file with its certificate, all of one model, and what it answers."""
    keras.utils.set_random_seed(7)
    model = kattn.zoo.create("cbam_resnet20", input_shape=(16, 16, 3), **OPTIONS)
    rng = np.random.default_rng(7)
    for variable in model.trainable_variables:  # else gates that begin at zero hide what is behind them
        variable.assign(variable + 0.05 * rng.standard_normal(variable.shape))
    model.save(folder / "model.keras")
    kattn.zoo.save_weights(model, folder / "model.weights.h5", about={"model": "cbam_resnet20", "options": OPTIONS})
    kattn.export.tflite(model, folder / "model.tflite")
    images = rng.integers(0, 256, (4, 16, 16, 3)).astype("uint8")
    np.savez_compressed(folder / "answers.npz", images=images, answers=model.predict_on_batch(images.astype("float32")))


def write_finished_run(folder):
    """A run that ended by itself."""
    kattn.train("se_resnet20", out=folder / "finished_run", **TRAINING)


def write_stopped_run(folder):
    """The same run, killed in its second epoch."""
    kattn.train("se_resnet20", out=folder / "stopped_run", callbacks=[KillInEpoch(1)], **TRAINING)


def write_search(folder):
    """A search over three reductions; it is killed from outside when its third trial has begun."""
    kattn.tune("se_resnet20", out=folder / "search", **SEARCH)


def write_all(folder):
    """Everything, what is to be killed in processes of their own."""
    write_models(folder)
    write_finished_run(folder)
    assert in_process("write_stopped_run", folder).wait() == -signal.SIGKILL
    process = in_process("write_search", folder)
    while len(list((folder / "search" / "trials").glob("*/config.json"))) < 3 and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def in_process(function, folder):
    """Start one of the functions in a new process."""
    return subprocess.Popen([sys.executable, __file__, str(folder), function])


if __name__ == "__main__":
    if len(sys.argv) == 3:
        globals()[sys.argv[2]](Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            write_all(Path(scratch))
            print(shutil.make_archive(sys.argv[1].removesuffix(".zip"), "zip", scratch))
