"""`kattn.explain.report`: one self-contained HTML page of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kattn.data.loading import load, local_data_dir, stored_settings
from kattn.data.splits import limited
from kattn.explain.reports.html import page
from kattn.explain.reports.sections import FinishedRun, sections_of
from kattn.facts.stated import INTERPOLATION, RESIZE
from kattn.files import make_folder, write_text
from kattn.runs.data import check_unchanged
from kattn.runs.folder import CONFIG, HISTORY, METRICS, RunError, RunFolder
from kattn.runs.records import require

# What a report shows of a run's files.
CONFIG_FIELDS = (
    "model",
    "seed",
    "options",
    "recipe.name",
    "recipe.epochs",
    "data.name",
    "data.spec",
    "data.settings",
    "data.images",
    "data.image_shape",
    "data.class_names",
)
METRICS_FIELDS = ("images", "top1", "loss", "calibration_error", "per_class", "confusion")


def report(
    run: str | Path,
    out: str | Path | None = None,
    *,
    images: int = 8,
    statistics_images: int | None = 2000,
    data_dir: str | Path | None = None,
) -> Path:
    """Write the report of a finished run: one .html file that needs no network and runs no script.

    Args:
        run: The run's folder, as `kattn.train` leaves it.
        out: The file to write; None is report.html in the run's folder.
        images: How many test images the sheet shows: wrongly classified ones first, then one of each class.
        statistics_images: How many test images the statistics are taken over, at most; None for all.
        data_dir: Where TFDS keeps its data, if not where the run had it.

    Returns: The file's path.
    Raises: RunError for a folder that holds no finished run, DataError where its data cannot be read, ValueError for
        counts below 1, OSError where the file cannot be written; what was there is then as it was.
    """
    if images < 1 or (statistics_images is not None and statistics_images < 1):
        raise ValueError(f"counts must be at least 1. Received: images={images}, statistics_images={statistics_images}")
    found = _opened(Path(run).expanduser(), statistics_images, data_dir)
    path = Path(out).expanduser() if out is not None else found.path / "report.html"
    make_folder(path.parent)
    title = f"{found.config['model']} on {found.config['data']['name']}"
    write_text(path, page(title, sections_of(found, images)))
    return path


def _opened(path: Path, limit: int | None, data_dir: str | Path | None) -> FinishedRun:
    folder = RunFolder(path)

    def read() -> tuple[Any, ...]:
        if not folder.finished:
            raise RunError(f"{path} holds no finished run to report on. kattn train writes one.")
        config, metrics, history = folder.config(), folder.metrics(), folder.history()
        require(config, CONFIG_FIELDS, folder.path / CONFIG)
        if "images" in metrics and "top1" not in metrics:
            raise RunError(
                f"{path} is no run of a classifier: a report shows classes. kattn evaluate prints what is measured of "
                "it, kattn explain draws its maps."
            )
        require(metrics, METRICS_FIELDS, folder.path / METRICS)
        if not history or "epoch" not in history[0]:
            raise RunError(f"{folder.path / HISTORY} has no epochs.")
        return config, folder.load_model(), metrics, history

    config, model, metrics, history = folder.read_whole(read)
    settings = stored_settings(config["data"]["settings"], str(path)) | {"limit": config["data"].get("limit")}
    own = settings.pop("data_dir", None)
    places = (own, None) if data_dir is None else (data_dir,)
    settings["data_dir"] = local_data_dir(config["data"]["spec"], *places, who=str(path))
    if settings.get("image_size") is None:
        settings["image_size"] = tuple(config["data"]["image_shape"][:2])
    channels = model.inputs[0].shape[-1]
    said = folder.stated()
    settings |= {"resize": said.resize or RESIZE, "interpolation": said.interpolation or INTERPOLATION}
    dataset = load(config["data"]["spec"], channels=channels, splits=("test",), **settings)
    check_unchanged(path, config, dataset, "test", way_out="")
    dataset = limited(dataset, limit)
    return FinishedRun(
        path=path,
        config=config,
        metrics=metrics,
        history=history,
        model=model,
        images=dataset.test.images,
        labels=dataset.test.labels,
        class_names=tuple(config["data"]["class_names"]),
    )
