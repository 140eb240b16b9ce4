"""Training on several devices and hosts, by the engines that Keras has for it.

TensorFlow, the devices of one host: tf.distribute.MirroredStrategy. JAX, the devices of one host or of several:
keras.distribution.DataParallel. Every step takes one batch of the recipe's size, split evenly; normalisation sees the
whole batch and gradients are averaged over it, so that the losses are those of one device but for rounding.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from kattn.graph.copies import copy_model
from kattn.graph.inside import all_inside

HOSTS = "hosts"
VARIABLES = ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_PROCESS_ID")
LOST = ("gloo", "nccl", "unavailable", "coordination", "socket", "connection", "deadline")


class DevicesError(RuntimeError):
    """Devices that cannot be used as asked, or a process of the run that is gone: what happened, and what to do."""


class ProcessLost(DevicesError):
    """Another process of the run is gone. The command line then ends at once, where JAX would wait for that process."""


@dataclass(frozen=True)
class Devices:
    """Where a run is trained.

    Attributes:
        names: Names of the devices that share each batch; empty where Keras chooses one device.
        count: Number of devices, with those of other processes.
        rank, ranks: Number of this process, and number of processes. Process 0 writes the run's files.
    """

    names: tuple[str, ...] = ()
    count: int = 1
    rank: int = 0
    ranks: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def check(self, batch_size: int) -> None:
        """Check that these devices can share a batch evenly. Raises: DevicesError where they cannot."""
        if batch_size % self.count:
            raise DevicesError(
                f"A batch of {batch_size} images cannot be shared by {self.count} devices. Choose a batch_size that is "
                f"a multiple of {self.count}."
            )

    @contextlib.contextmanager
    def training(self, model: Any) -> Iterator[Any]:
        """The model to fit: for one device the model itself, for several a copy with its variables on all of them."""
        if not self.names:
            yield model
            return
        with _mirrored(self) if keras.backend.backend() == "tensorflow" else _data_parallel(self):
            copy, _ = copy_model(model)
            if keras.backend.backend() == "tensorflow":
                for layer in all_inside(copy):
                    if isinstance(layer, keras.layers.BatchNormalization):
                        layer.synchronized = True  # JAX computes over the whole batch anyhow
            yield copy

    @contextlib.contextmanager
    def naming_lost_processes(self) -> Iterator[None]:
        """Turn the backend's error about another process that is gone into a ProcessLost that says what to do."""
        try:
            yield
        except (DevicesError, KeyboardInterrupt):
            raise
        except Exception as error:
            text = str(error).partition("\n")[0]
            if self.ranks == 1 or not any(word in text.lower() for word in LOST):
                raise
            raise ProcessLost(
                f"Another of the {self.ranks} processes of this run has ended or cannot be reached ({text[:200]}). "
                "Start all of them again with resume=True (--resume): the run goes on after its last whole epoch."
            ) from error

    def wait(self, place: str) -> None:
        """Wait here for the other processes, so that all see the files that process 0 has written."""
        if self.ranks > 1:
            from jax.experimental import multihost_utils

            with self.naming_lost_processes():
                multihost_utils.sync_global_devices(place)


def devices_for(devices: str | int | None) -> Devices:
    """What to train on.

    Args:
        devices: None: one device, as Keras chooses it. "all": all devices of this host; a number: the first so many.
            "hosts" (JAX): all devices of all processes. Start the same command once a host, each with the variables
            KERAS_DISTRIBUTION_JOB_ADDRESSES (host:port of process 0), KERAS_DISTRIBUTION_NUM_PROCESSES and
            KERAS_DISTRIBUTION_PROCESS_ID (from 0), and with a run folder that all of them see.

    Returns: The Devices, for one training.
    Raises: DevicesError where the backend or the environment cannot do it.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow" and _workers() > 1:  # also with one device: each worker would train, and write, the same
        raise DevicesError(_TENSORFLOW_HOSTS)
    if devices is None:
        return Devices()
    if backend not in ("tensorflow", "jax"):
        raise DevicesError(
            f"Several devices need Keras on TensorFlow or on JAX; this is {backend}. Set KERAS_BACKEND=jax."
        )
    if devices == HOSTS:
        return _hosts(backend)
    names = _local(backend)
    if isinstance(devices, str) and devices.isdigit():
        devices = int(devices)
    wanted = len(names) if devices == "all" else devices
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise DevicesError(f"devices is 'all', 'hosts' or a number of at least 1. Received: devices={devices!r}")
    if wanted > len(names):
        raise DevicesError(f"This host has {len(names)} devices ({', '.join(names)}). Received: devices={devices}")
    return Devices(tuple(names[:wanted]), wanted)


def accelerated() -> bool:
    """Whether Keras computes on something other than a processor."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.default_backend() != "cpu"
    if backend == "torch":
        import torch

        return torch.cuda.is_available() or torch.backends.mps.is_available()
    import tensorflow as tf

    return backend == "tensorflow" and bool(tf.config.list_physical_devices("GPU"))


_TENSORFLOW_HOSTS = (
    "Keras cannot fit on several hosts with TensorFlow (TF_CONFIG names more than one worker, or devices='hosts'). "
    f"Use JAX: KERAS_BACKEND=jax, {', '.join(VARIABLES)} on every host, and devices='hosts' (--devices hosts). "
    "Without TF_CONFIG, TensorFlow trains on this host alone."
)


def _workers() -> int:
    """How many workers TF_CONFIG names."""
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})
    except (ValueError, AttributeError):
        return 0
    return sum(len(cluster.get(kind, ())) for kind in ("chief", "worker"))


def _local(backend: str) -> list[str]:
    if backend == "jax":
        return keras.distribution.list_devices()
    import tensorflow as tf

    logical = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in logical]


def _hosts(backend: str) -> Devices:
    if backend != "jax":
        raise DevicesError(_TENSORFLOW_HOSTS)
    import jax

    if not jax.distributed.is_initialized():
        missing = [name for name in VARIABLES if not os.environ.get(name)]
        if missing:
            raise DevicesError(
                f"devices='hosts' needs {', '.join(missing)} in the environment: the address host:port of process 0, "
                "the number of processes, and the number of this one from 0."
            )
        jax.config.update("jax_cpu_collectives_implementation", "gloo")  # processors have none by default
        try:
            keras.distribution.initialize()
        except (RuntimeError, ValueError) as error:
            if "before any JAX calls" in str(error):
                raise DevicesError(
                    "The processes have to meet before anything is computed with JAX, a model's weights included. Call "
                    "kattn.training.devices_for('hosts') first of all, or give kattn.train a model's name."
                ) from error
            reason = str(error).partition("\n")[0]
            raise DevicesError(
                f"The processes did not find each other: {reason} Check {', '.join(VARIABLES)}."
            ) from error
    names = tuple(keras.distribution.list_devices())
    return Devices(names, len(names), jax.process_index(), jax.process_count())


@contextlib.contextmanager
def _mirrored(devices: Devices) -> Iterator[None]:
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(devices=list(devices.names)).scope():
        yield


@contextlib.contextmanager
def _data_parallel(devices: Devices) -> Iterator[None]:
    before = keras.distribution.distribution()
    # Keras shards tf.data only; the batches know which part is this process's (kattn.data.batches).
    keras.distribution.set_distribution(
        keras.distribution.DataParallel(devices=list(devices.names), auto_shard_dataset=False)
    )
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)
