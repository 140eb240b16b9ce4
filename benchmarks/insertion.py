"""Attention inserted into networks of keras.applications: places, identity, exports, one row a network and mechanism.

usage: python benchmarks/insertion.py [--networks ResNet50 VGG16 ...] [--mechanisms se nl ...] [--no-export]
       [--csv docs/insertion.csv] [--page docs/insertion_table.md] [--missing]

For each: a network with random weights at 96 x 96, brought to activations of ordinary size (see `network`); attention
at the end of every residual branch ("residual"; "between_stages" where there is none). The row has the places found by
each site word, the parameters added, the largest difference of the logits at the identity start (which is to be 0),
whether all original weights are there, the difference after a `.keras` round trip, how many of the inserted layers two
steps of training moved, and, with all inserted weights moved away from their start, the largest differences of the
TFLite and ONNX files' logits, relative to the largest logit (at least 1).
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np

import kattn
from kattn.files import write_csv, write_text
from kattn.graph.inside import all_layers
from kattn.insertion.levels import SITES
from kattn.insertion.places import find_places

NETWORKS = (
    "ResNet50",
    "MobileNetV2",
    "MobileNetV3Small",
    "DenseNet121",
    "EfficientNetB0",
    "Xception",
    "InceptionResNetV2",
    "VGG16",
    "NASNetMobile",
    "ConvNeXtTiny",
)
LAST_NORMS = {"ResNet50": "*_block*_3_bn"}  # the last normalisation of each branch
MECHANISMS = ("se", "cbam", "bam", "gc", "eca", "nl")
SIZE = 96
FIELDS = (
    *("network", "mechanism", *SITES, "where", "parameters_added", "identity_difference", "weights_kept"),
    *("saved_difference", "layers_moved", "layers_added", "tflite_difference", "onnx_difference"),
)


def network(name: str) -> Any:
    """Random weights, but activations of ordinary size and logits that differ by about 1 from image to image: without
    that most of these networks answer the same to every image, and no mistake shows.

    Batch normalisations measure their statistics on images. The last one of a ResNet's branch starts at zero in the
    usual recipe (Goyal et al., 2017), which would hide what is inserted behind it; here it is one over the root of the
    number of branches, so that all of them together add about as much as the shortcut has (De and Smith, 2020). With
    Keras's ones ResNet50 multiplies rounding errors, with attention or without: a change of its input's last bit moves
    its own logits by 5e-5 of the largest, so a comparison to 1e-4 would say little about a file.

    Where there is no batch normalisation nothing holds the size of the activations. There the layers are scaled to
    outputs of unit variance, one after the other (Mishkin and Matas, 2016), ConvNeXt's layer scales, which start at
    1e-6 and would hide what is inserted into its branches, with them.
    """
    keras.utils.set_random_seed(0)
    options = {"weights": None, "input_shape": (SIZE, SIZE, 3), "classes": 10, "classifier_activation": None}
    model = getattr(keras.applications, name)(**options)
    images = pictures(8, seed=0)
    norms = batch_norms(model)
    last = [norm for norm in norms if fnmatch.fnmatch(norm.name, LAST_NORMS.get(name, ""))]
    for norm in last:
        norm.gamma.assign(norm.gamma / len(last) ** 0.5)
    if norms:
        measure(model, norms, images)
    else:
        scale(model, images)
    head = [layer for layer in model.layers if hasattr(layer, "kernel")][-1]
    spread = answers(model, images).std(axis=0).mean()
    for weight in head.trainable_weights:
        weight.assign(weight / spread)
    return model


def batch_norms(model: Any) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def measure(model: Any, norms: list[Any], images: Any) -> None:
    usual = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(norms, usual, strict=True):
        layer.momentum = momentum


def scale(model: Any, images: Any) -> None:
    """Divide the weight of each layer, in the order in which they are called, by the deviation of what it gives."""

    def scaled(call: Any, weight: Any) -> Any:
        def twice(x: Any, **options: Any) -> Any:
            weight.assign(weight / keras.ops.std(call(x, **options)))
            return call(x, **options)

        return twice

    layers = [layer for layer in all_layers(model) if hasattr(layer, "kernel") or hasattr(layer, "gamma")]
    for layer in layers:
        layer.call = scaled(layer.call, layer.kernel if hasattr(layer, "kernel") else layer.gamma)
    model(images, training=False)
    for layer in layers:
        del layer.call


def pictures(count: int, seed: int) -> Any:
    """Coarse patterns, of which as much is left after five halvings as of photographs."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (count, 4, 4, 3))
    return coarse.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2).astype("float32")


def count(model: Any, site: str) -> int:
    try:
        return len(find_places(model, site))
    except ValueError:
        return 0


def answers(model: Any, images: Any) -> Any:
    return keras.ops.convert_to_numpy(model(images, training=False))


def values(layers: list[Any]) -> list[Any]:
    return [[keras.ops.convert_to_numpy(weight) for weight in layer.trainable_weights] for layer in layers]


def row(name: str, mechanism: str, export: bool) -> dict[str, Any]:
    model = network(name)
    images = pictures(4, seed=1)
    places = {site: count(model, site) for site in SITES}
    where = "residual" if places["residual"] else "between_stages"
    new = kattn.insert(model, mechanism, where)
    old_names = {layer.name for layer in model.layers}
    added = [layer for layer in new.layers if layer.name not in old_names and layer.trainable_weights]
    found: dict[str, Any] = {"network": name, "mechanism": mechanism, **places, "where": where}
    found["parameters_added"] = new.count_params() - model.count_params()
    want, got = answers(model, images), answers(new, images)
    found["identity_difference"] = float(np.abs(want - got).max())
    pairs = [(a, b) for one in model.layers for a, b in zip(one.weights, new.get_layer(one.name).weights, strict=True)]
    same = [bool(keras.ops.all(keras.ops.equal(a, b))) for a, b in pairs]
    found["weights_kept"] = f"{sum(same)}/{len(same)}"
    with tempfile.TemporaryDirectory() as folder:
        new.save(Path(folder) / "new.keras")
        loaded = keras.saving.load_model(Path(folder) / "new.keras")
        found["saved_difference"] = float(np.abs(answers(loaded, images) - got).max())
        if export:
            start = values(added)
            stir(added)
            largest = max(1.0, float(np.abs(answers(new, images)).max()))
            pixels = images.astype("uint8")
            for form in ("tflite", "onnx"):
                report = getattr(kattn.export, form)(new, Path(folder) / f"new.{form}", images=pixels)
                found[f"{form}_difference"] = report.max_abs_diff / largest
            for layer, kept in zip(added, start, strict=True):
                for weight, value in zip(layer.trainable_weights, kept, strict=True):
                    weight.assign(value)
    before = values(added)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Without batch normalisation the gradient of each weight is clipped (Brock et al., 2021): a step of 0.1 along
    # VGG16's own makes its loss 3e17, and gates behind such maps are shut or open for good, without a gradient.
    clip = None if batch_norms(model) else 1.0
    new.compile(keras.optimizers.SGD(0.1, clipnorm=clip), loss, run_eagerly=True)
    for _ in range(2):
        new.train_on_batch(images, np.arange(4))
    moved = [any(np.any(a != b) for a, b in zip(x, y, strict=True)) for x, y in zip(before, values(added), strict=True)]
    found["layers_moved"], found["layers_added"] = sum(moved), len(moved)
    return found


def stir(layers: list[Any]) -> None:
    """Away from the identity, where a file could leave a block out and nobody would notice."""
    rng = np.random.default_rng(2)
    for layer in layers:
        for weight in layer.trainable_weights:
            if isinstance(layer, kattn.layers.ReZero):
                weight.assign(0.3)
            else:
                weight.assign_add(0.05 * rng.standard_normal(weight.shape))


def read(path: Path | None) -> dict[tuple[str, str], dict[str, Any]]:
    if path is None or not path.exists():
        return {}
    with path.open(newline="") as file:
        return {(one["network"], one["mechanism"]): one for one in csv.DictReader(file)}


def page(rows: list[dict[str, Any]]) -> str:
    def least(one: dict[str, Any], field: str) -> str:
        return f"{float(one[field]):.1e}" if one.get(field) not in (None, "") else ""

    lines = [
        "# Attention inserted into networks of keras.applications\n",
        "Written by `python benchmarks/insertion.py --csv docs/insertion.csv --page docs/insertion_table.md`; do not "
        "edit.\n",
        "Random weights, 96x96. Differences are those of the logits: absolute at the start and after saving; of the "
        "TFLite and ONNX files, with the inserted weights moved away from their start, relative "
        "to the largest logit.\n",
        "| network | mechanism | `residual` | `output` | `between_stages` | inserted at | parameters added | "
        "difference at the start | weights kept | after saving | layers moved by two steps | TFLite | ONNX |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        cells = [one["network"], one["mechanism"], *(one[site] for site in SITES), one["where"]]
        cells += [f"{int(one['parameters_added']):,}", f"{float(one['identity_difference']):g}", one["weights_kept"]]
        cells += [f"{float(one['saved_difference']):g}", f"{one['layers_moved']} of {one['layers_added']}"]
        cells += [least(one, "tflite_difference"), least(one, "onnx_difference")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--mechanisms", nargs="+", default=MECHANISMS)
    parser.add_argument("--no-export", action="store_true")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--missing", action="store_true", help="only the rows that the CSV does not have")
    arguments = parser.parse_args()
    table = read(arguments.csv)
    wrong = 0
    for name in arguments.networks:
        for mechanism in arguments.mechanisms:
            if arguments.missing and (name, mechanism) in table:
                continue
            found = row(name, mechanism, not arguments.no_export)
            kept, of = found["weights_kept"].split("/")
            wrong += found["identity_difference"] != 0 or kept != of or found["saved_difference"] != 0
            print(" ".join(f"{key}={value}" for key, value in found.items()), flush=True)
            table[name, mechanism] = found
            if arguments.csv:
                write_csv(arguments.csv, list(table.values()), FIELDS)
    if arguments.page:
        order = {name: i for i, name in enumerate(NETWORKS)}
        write_text(arguments.page, page(sorted(table.values(), key=lambda one: order[one["network"]])))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
