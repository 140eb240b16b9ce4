"""How fast training is: kattn's against plain Keras's, what the input pipeline takes, and what each setting gives.

usage: python benchmarks/training_speed.py [--only resnet20 pipeline resnet50 settings feeds] [--cores 2] [--out FILE]

TensorFlow on a processor. Every variant is a process of its own that trains by `fit` and halts between two steps; the
processes take turns of a few steps, forwards and backwards, and never compute at the same time, so that a change of the
machine's load meets all of them. A figure is the median over turns of the ratio of images per second to the reference's
in the same round (above 1 is faster), with the 10th and 90th percentile; once by processor time of the whole process
(what to trust where other programs run), once by the clock. The first steps of a turn do not count, and the processes
are started anew --launches times, because one can be a little faster than the next for its whole life. Images are
random uint8: what they show does not change the time.

- resnet20: `kattn.train` with the recipe cifar_short (32x32, batch 128; flip and shift, label smoothing, nesterov, L2)
  against the same network written in Keras in its fastest setting that was found: uint8 images normalised in the model,
  a vectorised tf.data pipeline that makes batches from indices, no weight decay, no callback. And against kattn's own
  network on one constant batch that is ready.
- pipeline: the same feed and the same constant batch for a network of one layer. The difference of the two is what a
  batch costs, free of what a step of resnet20 varies by.
- resnet50: a step of a constant batch (224x224) of `resnet50` and of `resnet50_v1` against keras.applications.ResNet50,
  which strides where resnet50_v1 does (resnet50 has 6 % more multiplications).
- settings: jit_compile, steps_per_execution, bfloat16. feeds: where images are augmented, and the layout.

Limits: at most 5 % of the time by the clock for the input pipeline; kattn / Keras at least 1.00 (within the spread).
Exit status 1 if one is missed. About half an hour on two cores that are free.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from turns import Talk, in_turns, ratios, spread

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
IMAGES, SIDE, CLASSES, BATCH = 54_000, 32, 10, 128
SHIFT = 4  # pixels, cifar_short's
WARM = 2  # steps of a turn that do not count
KINDS = ("processor", "clock")


# ---------------------------------------------------------------- the variants; each trains until its process is ended


def whole_run(pause: Any) -> None:
    """`kattn.train`, as its users call it."""
    import kattn

    images, labels = arrays()
    few = (images[:100], labels[:100])
    data = {"train": (images, labels), "validation": few, "test": few}
    with tempfile.TemporaryDirectory() as folder:
        kattn.train("resnet20", data=data, recipe="cifar_short", out=folder, callbacks=[pause], overwrite=True)


def parts(
    pause: Any,
    network: str = "resnet20",
    feed: str = "batches",
    precision: str = "float32",
    jit_compile: bool | str = "auto",
    steps_per_execution: int = 1,
) -> None:
    """What `kattn.train` does, with one thing changed."""
    import keras

    import kattn
    from kattn.data.dataset import Dataset, Split
    from kattn.training.callbacks import SetEpoch, StopOnNaN
    from kattn.training.fitting import batches_for, compile_for
    from kattn.training.progress import Progress
    from kattn.training.recipes import load_recipe

    keras.config.set_dtype_policy(precision)
    model = one_layer() if network == "one layer" else kattn.zoo.create(network)
    recipe = load_recipe("cifar_short")
    everything = Split(*arrays())
    names = [str(i) for i in range(CLASSES)]
    dataset = Dataset("random", names, everything, everything.take(slice(100)), everything.take(slice(100)))
    batches, _ = batches_for(model, dataset, recipe, seed=0)
    steps = len(batches)
    if feed == "in the step":
        inputs = keras.Input(model.input_shape[1:])
        model = keras.Model(inputs, model(augmentation_layer()(inputs)))
    data: Any = batches
    if feed != "batches":
        data = tf_batches(augment=feed == "tf.data") if feed != "constant" else constant(*batches[0])
    compile_for(model, recipe, steps)
    if jit_compile != "auto":
        model.jit_compile = jit_compile
    model.steps_per_execution = steps_per_execution
    callbacks = [SetEpoch(batches), StopOnNaN(), Progress(recipe.epochs, steps, {}), pause]
    model.fit(data, epochs=recipe.epochs, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=callbacks)


def one_layer() -> Any:
    """A network that takes next to no time."""
    from keras import Input, Model, layers

    inputs = Input((SIDE, SIDE, 3))
    return Model(inputs, layers.Dense(CLASSES, activation="softmax")(layers.GlobalAveragePooling2D()(inputs)))


def written(pause: Any, feed: str = "tf.data", layout: str = "channels_last", steps_per_execution: int = 1) -> None:
    """The same network and training written in Keras."""
    import keras

    import kattn

    model = written_resnet20(layout)
    if layout == "channels_last":
        same_network(model, kattn.zoo.create("resnet20"))
    steps = IMAGES // BATCH
    rate = keras.optimizers.schedules.CosineDecay(0.0, 27 * steps, warmup_target=0.2, warmup_steps=3 * steps)
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )
    data = tf_batches(augment=True)
    if feed == "constant":
        data = constant(*next(iter(data)))
    model.fit(data, epochs=30, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[pause])


def same_network(model: Any, ours: Any) -> None:
    """Stop if a network does not answer as kattn's with kattn's weights."""
    import numpy as np

    images = arrays()[0][:8]
    model.set_weights(ours.get_weights())
    np.testing.assert_allclose(model.predict(images, verbose=0), ours.predict(images, verbose=0), atol=1e-5)


def written_resnet20(layout: str) -> Any:
    """He et al.'s ResNet-20 for 32x32, with projections, as one writes it in Keras."""
    import numpy as np
    from keras import Input, Model, layers

    from kattn.zoo.backbones.row import CIFAR

    first = layout == "channels_first"
    axis = 1 if first else -1

    def conv_bn(x: Any, filters: int, size: int, strides: int = 1) -> Any:
        if symmetric := strides > 1 and size > 1:  # as the paper's code pads; Keras's "same" is another network
            x = layers.ZeroPadding2D(size // 2, data_format=layout)(x)
        padding = "valid" if symmetric else "same"
        x = layers.Conv2D(filters, size, strides, padding, use_bias=False, data_format=layout)(x)
        return layers.BatchNormalization(axis, momentum=0.9, epsilon=1e-5)(x)

    inputs = Input((SIDE, SIDE, 3), dtype="uint8")
    mean, std = np.array(CIFAR["mean"]), np.array(CIFAR["std"])
    x = layers.Rescaling(list(1 / (255 * std)), list(-mean / std))(inputs)
    x = layers.Permute((3, 1, 2))(x) if first else x
    x = layers.ReLU()(conv_bn(x, 16, 3))
    for filters in (16, 32, 64):
        for block in range(3):
            strides = 2 if block == 0 and filters > 16 else 1
            shortcut = conv_bn(x, filters, 1, strides) if strides > 1 else x
            x = layers.ReLU()(conv_bn(x, filters, 3, strides))
            x = layers.ReLU()(layers.Add()([shortcut, conv_bn(x, filters, 3)]))
    x = layers.GlobalAveragePooling2D(data_format=layout)(x)
    return Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))


def large(pause: Any, name: str, batch: int) -> None:
    """Steps of one constant batch of 224x224: a name of the zoo, or keras.applications' ResNet50."""
    import keras
    import numpy as np

    import kattn

    images = np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3), dtype="uint8")
    if name == "ResNet50":
        model = keras.applications.ResNet50(weights=None)
        images = images.astype("float32") / 255  # its normalisation is outside of it, and costs nothing here
    else:
        model = kattn.zoo.create(name)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(constant(images, np.arange(batch)), steps_per_epoch=100_000, shuffle=False, verbose=0, callbacks=[pause])


# ---------------------------------------------------------------- their data


def arrays() -> tuple[Any, Any]:
    """Random images and labels."""
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, SIDE, SIDE, 3), dtype="uint8")
    return images, rng.integers(0, CLASSES, IMAGES, dtype="int32")


def constant(images: Any, labels: Any) -> Any:
    """One ready batch for ever: nothing is made and nothing copied."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensors((images, labels)).repeat()


def tf_batches(augment: bool) -> Any:
    """Shuffled batches by the fastest means found: batches of indices, then one gather and a few operations a batch."""
    import tensorflow as tf

    images, labels = (tf.constant(array) for array in arrays())

    def make(indices: Any) -> tuple[Any, Any]:
        x = tf.gather(images, indices)
        if augment:
            x = moved(x)
        return x, tf.one_hot(tf.gather(labels, indices), CLASSES)

    def moved(x: Any) -> Any:
        x = tf.pad(x, [[0, 0], [SHIFT, SHIFT], [SHIFT, SHIFT], [0, 0]])
        offsets = tf.random.uniform((2, BATCH, 1), 0, 2 * SHIFT + 1, tf.int32)
        flips = tf.random.uniform((BATCH, 1)) < 0.5
        places = tf.range(SIDE)[None]
        rows, columns = offsets[0] + places, offsets[1] + tf.where(flips, SIDE - 1 - places, places)
        return tf.gather(tf.gather(x, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)

    indices = tf.data.Dataset.range(IMAGES).shuffle(IMAGES).batch(BATCH, drop_remainder=True)
    return indices.map(make, tf.data.AUTOTUNE).repeat().prefetch(tf.data.AUTOTUNE)


def augmentation_layer() -> Any:
    """The same augmentation as a Keras layer, in the step."""
    import keras
    from keras import ops

    class Moved(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.seeds = keras.random.SeedGenerator(0)

        def call(self, x: Any, training: bool = False) -> Any:
            if not training:
                return x
            x = ops.pad(x, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)))
            count, places = ops.shape(x)[0], ops.arange(SIDE)[None]
            rows, columns = (
                places + keras.random.randint((count, 1), 0, 2 * SHIFT + 1, seed=self.seeds) for _ in range(2)
            )
            flips = keras.random.uniform((count, 1), seed=self.seeds) < 0.5
            columns = ops.where(flips, ops.flip(columns, axis=1), columns)
            x = ops.take_along_axis(x, rows[:, :, None, None], axis=1)
            return ops.take_along_axis(x, columns[:, None, :, None], axis=2)

    return Moved()


# ---------------------------------------------------------------- turns

VARIANTS: dict[str, Callable[..., None]] = {
    "kattn.train": whole_run,
    "default": parts,
    "one layer": functools.partial(parts, network="one layer"),
    "one layer, constant batch": functools.partial(parts, network="one layer", feed="constant"),
    "constant batch": functools.partial(parts, feed="constant"),
    "augmented in tf.data": functools.partial(parts, feed="tf.data"),
    "augmented in the step": functools.partial(parts, feed="in the step"),
    "jit_compile=True": functools.partial(parts, jit_compile=True),
    "jit_compile=False": functools.partial(parts, jit_compile=False),
    "steps_per_execution=4": functools.partial(parts, steps_per_execution=4),
    "steps_per_execution=16": functools.partial(parts, steps_per_execution=16),
    "mixed_bfloat16": functools.partial(parts, precision="mixed_bfloat16"),
    "written in Keras": written,
    "written in Keras, steps_per_execution=16": functools.partial(written, steps_per_execution=16),
    "written in Keras, constant batch": functools.partial(written, feed="constant"),
    "written in Keras, constant batch, channels_first": functools.partial(
        written, feed="constant", layout="channels_first"
    ),
    "resnet50": functools.partial(large, name="resnet50"),
    "resnet50_v1": functools.partial(large, name="resnet50_v1"),
    "keras.applications.ResNet50": functools.partial(large, name="ResNet50"),
}
# Group -> (variant, reference, least ratio or None, by the clock rather than by processor time)
GROUPS: dict[str, list[tuple[str, str, float | None, bool]]] = {
    "resnet20": [
        ("kattn.train", "constant batch", 0.95, True),
        ("kattn.train", "written in Keras", 1.0, False),
        ("kattn.train", "written in Keras, steps_per_execution=16", 1.0, False),
    ],
    "pipeline": [("one layer", "one layer, constant batch", None, False)],
    "resnet50": [
        ("resnet50", "keras.applications.ResNet50", 1.0, False),
        ("resnet50_v1", "keras.applications.ResNet50", 1.0, False),
    ],
    "settings": [
        (name, "default", None, False)
        for name in (
            "jit_compile=False",
            "jit_compile=True",
            "steps_per_execution=4",
            "steps_per_execution=16",
            "mixed_bfloat16",
        )
    ],
    "feeds": [
        ("augmented in tf.data", "default", None, False),
        ("augmented in the step", "default", None, False),
        ("written in Keras, constant batch, channels_first", "written in Keras, constant batch", None, False),
    ],
}


def pausing(steps: int) -> Any:
    """A callback that halts between two turns, and answers with the times of a turn's steps."""
    import keras

    class Pausing(keras.callbacks.Callback):
        """Halts as a step begins: what Keras calls when one ends may run beside the next one."""

        def __init__(self, talk: Talk) -> None:
            super().__init__()
            self.talk = talk
            self.ready = False
            self.resumed = 0
            self.mark: tuple[int, float, float] | None = None

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch < self.resumed:
                raise SystemExit("The turns are longer than an epoch: fewer --rounds or --steps.")
            if batch - self.resumed < WARM:
                return
            if not self.ready:  # everything is compiled
                self.ready = True
                self.talk.answer()
                self.resumed = batch
            elif self.mark is None:
                self.mark = (batch, time.process_time(), time.perf_counter())
            elif (steps_done := batch - self.mark[0]) >= steps:
                _, processor, clock = self.mark
                processor, clock = time.process_time() - processor, time.perf_counter() - clock
                self.talk.answer(processor=processor / steps_done, clock=clock / steps_done)
                self.resumed, self.mark = batch, None

    return Pausing(Talk())


def train(name: str, steps: int, batch: int, cores: int) -> None:
    """Train one variant in this process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    options = {"batch": batch} if "resnet50" in name.lower() else {}
    VARIANTS[name](pausing(steps), **options)


def measure(group: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of one group."""
    rows = GROUPS[group]
    names = list(dict.fromkeys(name for row in rows for name in (row[1], row[0])))
    steps = max(2, arguments.steps // 10) if group == "resnet50" else arguments.steps
    options = [f"--steps={steps}", f"--batch={arguments.batch}", f"--cores={arguments.cores}"]
    commands = {name: [sys.executable, __file__, "--train", name, *options] for name in names}
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(arguments.launches):
        _, seen = in_turns(commands, arguments.rounds, {"KERAS_BACKEND": "tensorflow"})
        for name in names:
            turns[name] += seen[name]
    batch = arguments.batch if group == "resnet50" else BATCH
    print(f"\n{group}: batch {batch}, {arguments.cores} cores, {len(turns[names[0]])} turns of {steps} steps")
    for name, seen in turns.items():
        processor, clock = (1e3 * statistics.median(turn[kind] for turn in seen) for kind in KINDS)
        print(f"  {name:<50}{processor:8.1f} ms of processor, {clock:8.1f} ms a step")
    found = []
    for name, reference, least, by_clock in rows:
        both = {kind: ratios(*([turn[kind] for turn in turns[one]] for one in (name, reference))) for kind in KINDS}
        ok = least is None or both["clock" if by_clock else "processor"]["high"] >= least
        found.append({"variant": name, "reference": reference, **both, "least": least, "ok": ok})
        print(line_of(found[-1]), flush=True)
    return found


def line_of(row: Mapping[str, Any]) -> str:
    limit = "" if row["least"] is None else f", least {row['least']:.2f}{'' if row['ok'] else ' MISSED'}"
    processor, clock = (spread(row[kind]) for kind in KINDS)
    return f"  {row['variant']} / {row['reference']}: {processor} by processor time, {clock} by the clock{limit}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--rounds", type=int, default=6, help="turns of each process")
    parser.add_argument("--launches", type=int, default=2, help="how often the processes are started anew")
    parser.add_argument("--steps", type=int, default=32, help="steps of a turn (resnet50: a tenth)")
    parser.add_argument("--batch", type=int, default=8, help="images a step of resnet50")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train, arguments.steps, arguments.batch, arguments.cores)
        return 0
    rows = [row for group in arguments.only for row in measure(group, arguments)]
    if arguments.out:
        from kattn.files import write_json

        write_json(arguments.out, rows)
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
