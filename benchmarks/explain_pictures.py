"""The pictures of docs/explain.md: a sheet of several networks side by side, the gates of one by class, AFI's weights.

    for m in resnet20 abn_resnet20 cbam_resnet20 afi_resnet20; do kattn train $m --out runs/$m; done
    python benchmarks/explain_pictures.py runs/{resnet20,abn_resnet20,cbam_resnet20,afi_resnet20} --out docs

The runs must share their data and the size of their images.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np

from kattn import explain
from kattn.data.dataset import Split
from kattn.data.loading import load
from kattn.explain.reports.sections import chosen_images
from kattn.explain.statistics.stream import outputs_over, stream
from kattn.graph.opened import Graph
from kattn.runs.folder import RunFolder


def predictions(model: Any, split: Split) -> np.ndarray:
    graph = Graph(model)
    network = graph.model(graph.output)
    return np.concatenate([answers for answers, _, _ in outputs_over(network, stream(split, network))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--gates", default="cbam", help="draw the gates of the first run whose model is so called")
    parser.add_argument("--numbers", action="store_true", help="also print areas and deletion and insertion curves")
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    folders = {run: RunFolder(run) for run in arguments.runs}
    models = {folder.config()["model"]: folder.load_model() for folder in folders.values()}
    config = next(iter(folders.values())).config()
    size = tuple(config["data"]["image_shape"][:2])
    data = load(config["data"]["spec"], image_size=size, channels=3, splits=("test",), data_dir=arguments.data_dir)
    scores = {name: predictions(model, data.test) for name, model in models.items()}
    first = next(iter(scores.values())).argmax(axis=-1)
    chosen = chosen_images(first, data.test.labels, arguments.images)
    images = data.test.images[chosen].astype("float32")
    columns, captions = {}, {}
    for name, model in models.items():
        answers = scores[name][chosen]
        said = [f"{data.class_names[a.argmax()]} {a.max():.0%}" for a in answers]
        columns[f"{name}\nGrad-CAM"] = explain.grad_cam(model, images)
        captions[f"{name}\nGrad-CAM"] = said
        try:
            maps = list(explain.attention(model, images).values())[-1]
        except ValueError:  # a network without attention over positions
            continue
        columns[f"{name}\nattention"] = maps
    sheet = explain.contact_sheet(
        images,
        columns,
        captions=[f"is {data.class_names[i]}" for i in data.test.labels[chosen]],
        column_captions=captions,
        cell=1.1,
    )
    print(explain.save_figure(sheet, arguments.out / "explain_sheet.png", dpi=90))
    gated = next((name for name in models if arguments.gates in name), None)
    if gated is not None:
        found = explain.gate_statistics(models[gated], (data.test.images, data.test.labels))
        figure = explain.gate_figure(found, layers=list(found.means)[-3:])
        print(explain.save_figure(figure, arguments.out / "explain_gates.png", dpi=90))
    integrated = next((name for name in models if name.startswith("afi")), None)
    if integrated is not None:
        weights = explain.attention_values(models[integrated], data.test.images.astype("float32"))
        layer = list(weights)[-1]
        array = weights[layer].values
        figure = explain.weights_figure(
            array,
            title=f"weights of the maps that {layer} takes",
            sources=[f"{i + 1} blocks back" if i else "the block before" for i in reversed(range(array.shape[1]))],
        )
        print(explain.save_figure(figure, arguments.out / "explain_afi.png", dpi=90))
    for name, model in models.items() if arguments.numbers else ():
        area = explain.activation_area(model, (data.test.images, data.test.labels))
        curves = explain.deletion_insertion(
            model, data.test.images[:64], explain.grad_cam(model, data.test.images[:64]), steps=10
        )
        print(
            f"{name:<16} Grad-CAM covers {area.mean:.1%} of the image; deletion {curves.deletion_area.mean():.3f}, "
            f"insertion {curves.insertion_area.mean():.3f}"
        )


if __name__ == "__main__":
    main()
