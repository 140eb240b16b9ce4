"""Families of networks that users bring, in every format: does each export, and how far is the file from Keras.

usage: python benchmarks/families.py [--out families.csv] [--page families.md] [--models VGG16 ...]
    [--formats onnx:int8 ...]

keras.applications' families at their smallest member, width and input, a U-Net (bilinear and transposed), a keras-hub
ResNet with a classifier where keras-hub is installed, a regression, a network of two inputs and one that reads a
sequence by convolutions and an LSTM, through TFLite float32, float16, dynamic and int8 and ONNX float32 and int8. About
half an hour of one core. The table is written after every cell; a run that was stopped goes on where it was.

Weights are random, biases and scales too, and the statistics of batch normalisation are those of the calibration
images: a network whose statistics are not its own has activations that explode or die, which no number type holds.
Biases of batch normalisation are positive, so that most units are awake: with half of them asleep a deep random network
multiplies the last bit of its input by thousands, and says nothing of a file.
Images are made up, so the table is about conversion: an agreement near 1 says that the file computes what the model
computes. An error is right where it names a layer and what to do. Exit status 1 where one does not.
"""

from __future__ import annotations

import argparse
import csv
import gc
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

import kattn
from kattn.files import write_csv, write_text
from kattn.graph.inside import all_layers

FORMATS = ("tflite:float32", "tflite:float16", "tflite:dynamic", "tflite:int8", "onnx:float32", "onnx:int8")
COLUMNS = ("model", "input", "parameters", "format", "outcome", "agreement", "difference", "seconds", "said")
CLASSES, IMAGES = 10, 24
SPREAD = 1.0  # standard deviation of the scores before the softmax


def application(name: str, size: int = 32, **options: Any) -> Callable[[], Any]:
    """A network of keras.applications with a classifier of its own."""

    def build() -> Any:
        body = getattr(keras.applications, name)(
            include_top=False, weights=None, input_shape=(size, size, 3), pooling="avg", **options
        )
        return keras.Model(body.input, _classifier(body.output), name=name)

    return build


def unet(up: Callable[[int], Any]) -> Callable[[], Any]:
    """Three levels with skips between them, classes of pixels."""

    def build() -> Any:
        x = image = keras.Input((32, 32, 3))
        skips = []
        for filters in (8, 16, 32):
            x = _conv_norm(x, filters)
            skips.append(x)
            x = layers.MaxPooling2D(2)(x)
        for filters in (32, 16, 8):
            x = _conv_norm(layers.Concatenate()([up(filters)(x), skips.pop()]), filters)
        return keras.Model(image, layers.Conv2D(4, 1, activation="softmax", name="predictions")(x), name="unet")

    return build


def regression() -> Any:
    """Two numbers of an image."""
    image = keras.Input((32, 32, 3))
    x = _conv_norm(_conv_norm(layers.Rescaling(1 / 127.5, -1)(image), 8), 16)
    return keras.Model(image, layers.Dense(2, name="predictions")(layers.GlobalAveragePooling2D()(x)))


def two_inputs() -> Any:
    """Classes of an image and a vector."""
    image, vector = keras.Input((32, 32, 3), name="image"), keras.Input((6,), name="measurements")
    x = layers.GlobalAveragePooling2D()(_conv_norm(layers.Rescaling(1 / 127.5, -1)(image), 16))
    y = layers.Dense(16, activation="relu")(vector)
    return keras.Model([image, vector], _classifier(layers.Concatenate()([x, y])))


def crnn() -> Any:
    """Letters along the width of an image, as in reading text."""
    image = keras.Input((16, 64, 1))
    x = layers.MaxPooling2D(2)(_conv_norm(layers.Rescaling(1 / 255)(image), 8))
    x = layers.MaxPooling2D((4, 2))(_conv_norm(x, 16))
    x = layers.Reshape((16, 32))(layers.Permute((2, 1, 3))(x))
    x = layers.Bidirectional(layers.LSTM(16, return_sequences=True))(x)
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax", name="predictions")(x), name="crnn")


def hub_resnet() -> Any:
    """A small ResNet of keras-hub with its classifier."""
    from keras_hub import models

    body = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        use_pre_activation=False,
        image_shape=(32, 32, 3),
    )
    task = models.ImageClassifier(backbone=body, num_classes=CLASSES, activation="softmax")
    return keras.Model(task.input, task.output, name="hub_resnet")


MODELS: dict[str, Callable[[], Any]] = {
    "VGG16": application("VGG16"),
    "ResNet50": application("ResNet50"),
    "ResNet50V2": application("ResNet50V2"),
    "InceptionV3": application("InceptionV3", 75),
    "InceptionResNetV2": application("InceptionResNetV2", 75),
    "Xception": application("Xception", 71),
    "MobileNet": application("MobileNet", alpha=0.25),
    "MobileNetV2": application("MobileNetV2", alpha=0.35),
    "MobileNetV3Small": application("MobileNetV3Small", alpha=0.75),
    "DenseNet121": application("DenseNet121"),
    "NASNetMobile": application("NASNetMobile"),
    "EfficientNetB0": application("EfficientNetB0"),
    "EfficientNetV2B0": application("EfficientNetV2B0"),
    "ConvNeXtTiny": application("ConvNeXtTiny"),
    "U-Net, bilinear": unet(lambda filters: layers.UpSampling2D(2, interpolation="bilinear")),
    "U-Net, transposed": unet(lambda filters: layers.Conv2DTranspose(filters, 2, strides=2)),
    "keras-hub ResNet": hub_resnet,
    "regression": regression,
    "two inputs": two_inputs,
    "CRNN": crnn,
}


def _conv_norm(x: Any, filters: int) -> Any:
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def _classifier(x: Any) -> Any:
    return layers.Dense(CLASSES, activation="softmax", name="predictions")(x)


def made_up(model: Any, count: int = IMAGES) -> dict[str, np.ndarray]:
    """Images with a colour, a gradient and noise of their own, pixels 0-255, and vectors of numbers about 0."""
    random = np.random.default_rng(0)
    arrays = {}
    for tensor in model.inputs:
        shape = tuple(tensor.shape[1:])
        noise = random.normal(0, 1, (count, *shape))
        if len(shape) == 3:
            places = np.linspace(-1, 1, shape[0])[:, None, None] + np.linspace(-1, 1, shape[1])[None, :, None]
            slopes = random.normal(0, 40, (count, 1, 1, shape[2]))
            noise = random.uniform(30, 225, (count, 1, 1, shape[2])) + slopes * places + 25 * noise
            noise = np.round(np.clip(noise, 0, 255))
        arrays[tensor.name] = noise.astype("float32")
    return arrays


def randomise(model: Any, images: dict[str, np.ndarray]) -> None:
    """Random weights, statistics of normalisation from the images, and answers that differ from image to image."""
    random = np.random.default_rng(1)
    norms = [layer for layer in all_layers(model) if isinstance(layer, layers.BatchNormalization)]
    awake = {weight.path for norm in norms for weight in norm.weights}
    for weight in model.weights:
        shape, name = tuple(weight.shape), weight.path
        if "seed" in name or not keras.backend.is_float_dtype(weight.dtype):
            continue
        if "gamma" in name or "layer_scale" in name or (name in awake and name.endswith("beta")):
            weight.assign(random.uniform(0.3, 1.0, shape).astype("float32"))
        elif name.endswith(("beta", "bias")):
            weight.assign(random.normal(0, 0.1, shape).astype("float32"))
        elif len(shape) > 1 and "moving" not in name:
            fan_in = np.prod(shape[:2]) if "depthwise" in name else np.prod(shape[:-1])
            weight.assign((random.standard_normal(shape) * np.sqrt(1.5 / fan_in)).astype("float32"))
    given = list(images.values())
    given = given[0] if len(given) == 1 else given
    for norm in norms:
        norm.momentum = 0.0
    if norms:
        model(given, training=True)
    head = (
        model.get_layer("predictions") if "predictions" in {layer.name for layer in model.layers} else model.layers[-1]
    )
    scores = keras.Model(model.inputs, head.input).predict(given, verbose=0) @ np.asarray(head.kernel).reshape(
        head.kernel.shape[-2:]
    )
    spread = max(float(np.std(scores, axis=0).mean()), 1e-6)
    if head.activation is keras.activations.softmax:
        head.kernel.assign(head.kernel * (SPREAD / spread))
        centre = scores.reshape(-1, scores.shape[-1]).mean(0) * (SPREAD / spread)
        head.bias.assign(-centre)  # otherwise one class is the answer to everything


def cell(model: Any, images: dict[str, np.ndarray], form: str, folder: Path) -> dict[str, Any]:
    """One export."""
    kind, precision = form.split(":")
    given: Any = images if len(images) > 1 else next(iter(images.values()))
    started = time.perf_counter()
    try:
        report = kattn.export.FORMATS[kind].export(
            model, folder / f"m.{kind}", precision=precision, calibration=given, images=given
        )
    except kattn.export.ExportError as error:
        said = " ".join(str(error).split())
        names = {layer.name for layer in all_layers(model)}
        named = names & set(re.findall(r"[\w./-]+", said))
        right = named and re.search(r"float_layers=|strict=False|precision=|input_shape=|operations|batch=1", said)
        return {"outcome": "error" if right else "ERROR WITHOUT A LAYER", "said": said[:600], **_seconds(started)}
    measured = {
        name: found["value"] for output in report.outputs.values() for name, found in output["measures"].items()
    }
    agreement = [value for name, value in measured.items() if "agree" in name or "same" in name]
    return {
        "outcome": "right",
        "agreement": f"{min(agreement):.4f}" if agreement else "",
        "difference": f"{report.max_abs_diff:.1e}",
        "said": "; ".join(report.warnings)[:300],
        **_seconds(started),
    }


def _seconds(started: float) -> dict[str, Any]:
    return {"seconds": round(time.perf_counter() - started, 1)}


def page(rows: list[dict[str, Any]]) -> str:
    """The table for people: a family a line."""
    lines = [
        f"| | input | parameters | {' | '.join(form.replace(':', ' ') for form in FORMATS)} |",
        "|" + "---|" * (3 + len(FORMATS)),
    ]
    by_model: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_model.setdefault(row["model"], {})[row["format"]] = row
    for name, cells in by_model.items():
        first = next(iter(cells.values()))
        shown = [_shown(cells[form]) if form in cells else "" for form in FORMATS]
        lines.append(f"| {name} | {first['input']} | {first['parameters']} | {' | '.join(shown)} |")
    errors = [
        f"- {row['model']}, {row['format']}: {row['said']}"
        for row in rows
        if row["outcome"] not in ("right", "missing")
    ]
    return "\n".join([*lines, "", *errors]) + "\n"


def _shown(row: dict[str, Any]) -> str:
    if row["outcome"] != "right":
        return row["outcome"]
    return f"{row['difference']}, {row['agreement']}" if row["agreement"] else str(row["difference"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=FORMATS)
    parser.add_argument("--out", type=Path, default=Path("families.csv"), help="where the rows go")
    parser.add_argument("--page", type=Path, help="where the table for people goes")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if arguments.out.exists():
        with arguments.out.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    done = {(row["model"], row["format"]) for row in rows}
    for name in arguments.models:
        left = [form for form in arguments.formats if (name, form) not in done]
        if not left:
            continue
        keras.backend.clear_session(free_memory=True)
        gc.collect()
        keras.utils.set_random_seed(0)
        try:
            model = MODELS[name]()
        except ImportError as error:
            print(name, error, flush=True)
            continue
        images = made_up(model)
        randomise(model, images)
        sizes = ", ".join("x".join(map(str, array.shape[1:])) for array in images.values())
        for form in left:
            with tempfile.TemporaryDirectory() as folder:
                row = {"model": name, "input": sizes, "parameters": model.count_params(), "format": form}
                rows.append(row | cell(model, images, form, Path(folder)))
            write_csv(arguments.out, rows, COLUMNS)
            print(*(rows[-1].get(column, "") for column in COLUMNS), flush=True)
    if arguments.page:
        write_text(arguments.page, page(rows))
    wrong = [row for row in rows if row["outcome"] not in ("right", "error")]
    print(f"{sum(row['outcome'] == 'right' for row in rows)} of {len(rows)} right, {len(wrong)} without a way out")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
