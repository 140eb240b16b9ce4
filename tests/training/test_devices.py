"""Several devices and several processes give the run that one device gives."""

import json
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
from support import TESTS
from support.training import REFUSE_TENSORFLOW, arrays, tiny_model

from kattn.runs.folder import RunFolder
from kattn.training.devices import Devices, DevicesError, devices_for
from kattn.training.run import train

RECIPE = {"epochs": 3, "batch_size": 8, "learning_rate": 0.05, "weight_decay": 1e-3, "shift": 0.125, "flip": True}

# Without dropout: TensorFlow's replicas draw their own masks.
RUN = """
import os, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/training"]
out, devices, killed_in = sys.argv[2], sys.argv[3], int(sys.argv[4])
if os.environ["KERAS_BACKEND"] == "tensorflow":
    import tensorflow as tf
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
if int(os.environ.get("KERAS_DISTRIBUTION_PROCESS_ID", 0)):
    from kattn.runs.folder import RunFolder
    def refuse(*arguments, **options):
        raise AssertionError("only process 0 writes")
    RunFolder.start = refuse
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    def watch(event, arguments):
        if event == "open" and str(arguments[0]).startswith(out) and arguments[2] & writing:
            refuse()
    sys.addaudithook(watch)
from test_devices import Kill, run
from kattn.training.devices import ProcessLost, devices_for
devices_for(devices)
try:
    run(out, devices, callbacks=[Kill(killed_in)])
except ProcessLost as error:
    print(error, file=sys.stderr, flush=True)
    os._exit(1)
"""


class Kill(keras.callbacks.Callback):
    """End the process as this epoch begins (from 0; -1: never)."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            os.kill(os.getpid(), 9)


def run(out, devices=None, callbacks=()):
    keras.utils.set_random_seed(11)
    image = keras.Input((8, 8, 3))
    normalise = keras.layers.Normalization()
    normalise.adapt(arrays(60)[0].astype("float32"))  # its statistics have to reach every device
    model = keras.Model(image, tiny_model(classes=3, dropout=0.0)(normalise(image)))
    options = {"devices": devices, "callbacks": callbacks, "resume": True, "verbose": False, "tensorboard": True}
    return train(model, data=arrays(60), recipe=RECIPE, out=out, **options)


def start(out, devices, *, killed_in=-1, **environment):
    alone = REFUSE_TENSORFLOW if environment["KERAS_BACKEND"] == "jax" else ""  # Keras would import it to seed it
    command = [sys.executable, "-c", alone + RUN, str(TESTS), str(out), devices, str(killed_in)]
    quick = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}  # compiling is what takes the time here
    quiet = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment = {**os.environ, **quick, **quiet, **environment}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def together(out, killed_in=-1):
    """Two processes on this host; the second one may be killed. Exit statuses, and what the first one said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    common = {"KERAS_BACKEND": "jax", "KERAS_DISTRIBUTION_JOB_ADDRESSES": address}
    common["KERAS_DISTRIBUTION_NUM_PROCESSES"] = "2"
    both = [
        start(out, "hosts", killed_in=killed_in if rank else -1, KERAS_DISTRIBUTION_PROCESS_ID=str(rank), **common)
        for rank in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in both]
    return [process.returncode for process in both], said[0]


def losses(folder):
    return np.array([[row["loss"], row["val_loss"]] for row in RunFolder(folder).history()])


@pytest.mark.slow
def test_two_devices_of_tensorflow_train_as_one_does(tmp_path):
    process = start(tmp_path / "two", "all", KERAS_BACKEND="tensorflow")
    one = run(tmp_path / "one")
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(one.path), rtol=1e-4)
    assert RunFolder(tmp_path / "two").metrics()["confusion"] == one.evaluation.confusion


def lose_one(out):
    statuses, said = together(out, killed_in=1)
    assert statuses == [1, -9]
    assert "Another of the 2 processes of this run has ended" in said
    assert "--resume" in said
    assert len(RunFolder(out).history()) == 1
    assert not RunFolder(out).finished


@pytest.mark.slow
def test_of_two_processes_of_jax_a_lost_one_ends_the_run(tmp_path):
    lose_one(tmp_path)


@pytest.mark.slow
def test_two_processes_of_jax_train_as_one_does_and_a_run_that_lost_one_resumes(tmp_path):
    one = start(tmp_path / "one", "1", KERAS_BACKEND="jax")
    lose_one(tmp_path / "two")
    statuses, said = together(tmp_path / "two")
    assert statuses == [0, 0], said
    assert one.communicate(timeout=300) and one.returncode == 0
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-4)
    metrics = [RunFolder(tmp_path / name).metrics()["confusion"] for name in ("one", "two")]
    assert metrics[0] == metrics[1]


@pytest.mark.slow
def test_two_devices_of_jax_train_as_one_does(tmp_path):
    one = start(tmp_path / "one", "1", KERAS_BACKEND="jax")
    flags = "--xla_force_host_platform_device_count=2"
    two = start(tmp_path / "two", "all", KERAS_BACKEND="jax", XLA_FLAGS=flags)
    for process in (one, two):
        said = process.communicate(timeout=300)[1]
        assert process.returncode == 0, said
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-4)


def test_a_batch_that_cannot_be_shared_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DevicesError, match=r"batch of 8 images cannot be shared by 3 devices.*a multiple of 3"):
        Devices(("a", "b", "c"), 3).check(8)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (99, "This host has 1 devices"),
        (0, "'all', 'hosts' or a number of at least 1. Received: devices=0"),
        ("many", "Received: devices='many'"),
        ("hosts", "Keras cannot fit on several hosts with TensorFlow.*KERAS_BACKEND=jax"),
    ],
)
def test_devices_that_are_not_there_are_an_error(devices, message):
    with pytest.raises(DevicesError, match=message):
        devices_for(devices)


def test_several_workers_in_tf_config_are_sent_to_jax(monkeypatch):
    cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    for devices in ("all", None):
        with pytest.raises(DevicesError, match=r"TF_CONFIG names more than one worker.*Use JAX"):
            devices_for(devices)
