"""Maps of image files, drawn into a folder: what `kattn explain` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kattn.explain.attending.maps import last_of_each_size
from kattn.explain.drawing.pictures import overlay_original, save_figure
from kattn.explain.drawing.read import Picture, read_images
from kattn.explain.drawing.sheets import contact_sheet
from kattn.explain.images import in_batches
from kattn.explain.reports.methods import maps_by
from kattn.facts.of_model import describe_model, image_of
from kattn.facts.pixels import to_input
from kattn.facts.stated import Stated, read_labels
from kattn.files import writing
from kattn.graph.compiled import compiled
from kattn.graph.opened import Graph

SHEET_ROWS = 24  # images on one sheet
LETTERS = 40  # of a file's name that the names of its overlays begin with


def draw_maps(
    models: Mapping[str, keras.Model],
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    methods: Sequence[str] = ("grad_cam",),
    classes: int | None = None,
    layer: str | None = None,
    every_layer: bool = False,
    query: tuple[float, float] | None = None,
    position: tuple[int, int] | None = None,
    size: tuple[int, int] | None = None,
    form: str = "png",
    class_names: Sequence[str] | None = None,
    labels: Sequence[str] | str | Path | None = None,
    **stated: Any,
) -> list[Path]:
    """Draw the maps of image files: contact sheets, and one overlay a file and map at the file's full size.

    Args:
        models: By name; several are put side by side.
        paths: Image files and folders of them; what cannot be read is left out and counted.
        out: The folder to write to.
        methods: Some of `kattn.explain.reports.methods.METHODS`.
        classes: The class to explain; None: the predicted one of each image.
        layer, query, position: Of the methods.
        every_layer: For attention: maps of all its layers. Otherwise, and where no layer is named, of the last layer
            on each size of map.
        size: Height and width, for models that leave theirs open.
        form: "png" or "svg", of the sheets; the overlays are PNG.
        class_names: For the captions; None for those that are known of the first model.
        labels: As `class_names`; or a text file with one a line.
        stated: What is known of the models' inputs; see `kattn.explain.read_images`.

    Returns: The files written, the sheets first.
    Raises: ValueError for images or arguments that cannot be used, and for models of different sizes.
    """
    if form not in ("png", "svg"):
        raise ValueError(f"form must be png or svg. Received: {form!r}")
    shapes = {name: tuple(model.inputs[0].shape[1:]) for name, model in models.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"models side by side must take images of one size. Received: {shapes}")
    first = next(iter(models.values()))
    if None in first.inputs[0].shape[1:] and size is None:
        raise ValueError(f"{first.name!r} leaves its image size open: say which with --image-size (size=).")
    said = Stated.of(stated)
    pictures = read_images(paths, first, size=size, **stated)
    shown = np.stack([picture.pixels for picture in pictures])
    names = read_labels(labels) if labels else class_names or describe_model(first, said).output.labels.value
    columns: dict[str, np.ndarray] = {}
    captions: dict[str, list[str]] = {}
    for name, model in models.items():
        images = to_input(shown, image_of(model, said), name).astype("float32")
        predictions = _predictions(model, images, names)
        for method in methods:
            of_attention = method == "attention"
            whole = every_layer or layer is not None or not of_attention
            found = maps_by(
                method,
                model,
                images,
                classes=None if of_attention else classes,
                layer=layer if whole else last_of_each_size(model, images.shape[1:]),
                query=query if of_attention else None,
                position=None if of_attention else position,
                **stated,
            )
            for title, maps in found.items():
                column = title if len(models) == 1 else f"{name}\n{title}"
                columns[column], captions[column] = maps, predictions
    return [
        *_write_sheets(Path(out), form, pictures, shown, columns, captions),
        *_write_overlays(Path(out), pictures, columns),
    ]


def _write_sheets(
    folder: Path,
    form: str,
    pictures: Sequence[Picture],
    images: np.ndarray,
    columns: Mapping[str, np.ndarray],
    captions: Mapping[str, Sequence[str]],
) -> list[Path]:
    written = []
    for start in range(0, len(images), SHEET_ROWS):
        part = slice(start, start + SHEET_ROWS)
        sheet = contact_sheet(
            images[part],
            {name: maps[part] for name, maps in columns.items()},
            captions=[picture.path.stem[:28] for picture in pictures[part]],
            column_captions={name: lines[part] for name, lines in captions.items()},
        )
        number = "" if len(images) <= SHEET_ROWS else f"_{start // SHEET_ROWS + 1}"
        written.append(save_figure(sheet, folder / f"sheet{number}.{form}"))
    return written


def _write_overlays(folder: Path, pictures: Sequence[Picture], columns: Mapping[str, np.ndarray]) -> list[Path]:
    from PIL import Image

    written = []
    for column, maps in columns.items():
        high = float(maps.max()) or 1.0
        low = min(0.0, float(maps.min()))
        for number, (picture, heat) in enumerate(zip(pictures, maps, strict=True), start=1):
            drawn = overlay_original(picture, heat, limits=(low, high if high > low else low + 1.0))
            file = folder / _file_name(number, picture.path, column)
            with writing(file) as temporary:
                Image.fromarray(drawn).save(temporary, format="PNG")
            written.append(file)
    return written


def _file_name(number: int, path: Path, column: str) -> str:
    """Numbered, since folders may hold files of the same name."""
    text = f"{path.stem[:LETTERS]}_{column}"
    return f"{number:03d}_{''.join(c if c.isalnum() or c in '-_.' else '_' for c in text)}.png"


def _predictions(model: keras.Model, images: np.ndarray, class_names: Sequence[str] | None) -> list[str]:
    """The prediction for each image in words; empty texts where the output is no row of scores."""
    graph = Graph(model, image_shape=images.shape[1:])
    run = compiled(graph.model(graph.output))
    answers = np.concatenate([run(batch) for batch, _ in in_batches(images, 32)])
    if answers.ndim != 2:
        return [""] * len(images)
    best = answers.argmax(axis=-1)
    names = [class_names[i] if class_names and i < len(class_names) else f"class {i}" for i in best]
    shares = answers[np.arange(len(answers)), best]
    return [f"{name} {share:.0%}" if 0 <= share <= 1 else name for name, share in zip(names, shares, strict=True)]
