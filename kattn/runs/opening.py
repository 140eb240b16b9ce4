"""What is this path? A run's folder, a .keras file, an exported file, or the name of a model of the zoo.

Every command and function that takes "a model" asks here, so that all of them take the same and refuse it in the same
words. Reading what a path is (`kind_of`) imports neither Keras nor a runtime; `open_model` loads the model.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kattn.export.formats import FORMATS, format_of, load
from kattn.runs.folder import FINISHED, RunError, RunFolder

RUN, KERAS, ARTEFACT, ZOO = "run", "keras", "artefact", "zoo"


@dataclass(frozen=True)
class Opened:
    """A model and where it comes from.

    Attributes:
        kind: "run", "keras", "artefact" or "zoo".
        name: The path or the name, as text.
        path: The path; None for a name of the zoo.
        model: The Keras model; None for an exported file.
        runner: What runs an exported file (kattn.export.load); None for the others.
        folder: The run's folder; None for the others.
        config: What config.json of the run holds; None for what is no run.
    """

    kind: str
    name: str
    path: Path | None = None
    model: Any = None
    runner: Any = None
    folder: RunFolder | None = None
    config: dict[str, Any] | None = None

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes that the run learned; None for what is no run."""
        return None if self.config is None else self.config["data"]["class_names"]


def kind_of(source: str | Path) -> str:
    """Which of the four kinds a path or a name is. What does not exist is a name of the zoo where it can be one.

    Args:
        source: A path, or a name of the zoo.

    Returns: "run", "keras", "artefact" or "zoo".
    Raises: ValueError for a path where there is nothing, or no model.
    """
    path = Path(source).expanduser()
    if not path.exists():
        if isinstance(source, str) and source.isidentifier():
            return ZOO
        raise ValueError(f"There is no {path}.")
    if RunFolder(path).has_model:
        return RUN
    row = format_of(path)
    if row is None:
        raise ValueError(f"{path} is no model.")
    return ARTEFACT if row.name in FORMATS else KERAS


def open_model(
    source: str | Path,
    *,
    kinds: Collection[str] = (RUN, KERAS, ZOO),
    weights: str | None = None,
    unfinished: bool = False,
    trained: bool = False,
    threads: int = 1,
    trust: bool = False,
) -> Opened:
    """Load the model that a path or a name stands for.

    Args:
        source: A path, or a name of the zoo.
        kinds: What the caller can use, of "run", "keras", "artefact" and "zoo"; without "artefact" the result has a
            Keras model always.
        weights: Of a run: "best" or "last", None for what its recipe selects. Of a name of the zoo: as in
            kattn.zoo.create, None for random weights. Files have one set of weights and ignore it.
        unfinished: Open a run that is not finished too, with the weights that it has so far.
        trained: Refuse a name of the zoo without weights.
        threads: Of the runtime of an exported file.
        trust: Open an exported file also if it could do more than compute (kattn.export.load).

    Returns: The model, opened.
    Raises: ValueError for a path where there is nothing, for what is none of `kinds`, for a file that cannot be read
        and for an unknown name; RunError for a run that is not finished or whose files cannot be read.
    """
    path = Path(source).expanduser()
    try:
        kind = kind_of(source)
    except ValueError as error:
        raise ValueError(f"{error} Expected: {_expected(kinds)}.") from None
    if kind not in kinds:
        what = f"There is no {path}" if kind == ZOO else f"{path} cannot be used here"
        raise ValueError(f"{what}. Expected: {_expected(kinds)}.")
    if kind == RUN:
        folder = RunFolder(path)

        def read() -> Opened:
            if not (unfinished or folder.finished):
                raise RunError(f"{path} holds a run that is not finished: `kattn train` with --resume goes on with it.")
            config, model = folder.config(), folder.load_model(weights)
            return Opened(kind, str(path), path, model=model, folder=folder, config=config)

        return folder.read_whole(read)
    if kind == KERAS:
        model = load_keras(path)
        if path.name == FINISHED and RunFolder(path.parent).has_model:
            RunFolder(path.parent).remember(model)
        return Opened(kind, str(path), path, model=model)
    if kind == ARTEFACT:
        return Opened(kind, str(path), path, runner=load(path, threads=threads, trust=trust))
    return Opened(kind, str(source), model=_create(str(source), weights, trained))


def load_keras(path: str | Path) -> Any:
    """A .keras file as a model, not compiled. Raises: ValueError for one that is damaged or would execute code."""
    from kattn.export.proof.keras_runner import read_keras  # imports Keras

    return read_keras(path)


def _create(name: str, weights: str | None, trained: bool) -> Any:
    from kattn.zoo import create
    from kattn.zoo.catalog import info
    from kattn.zoo.tables import builder

    try:
        builder(name)
    except ValueError as error:
        raise ValueError(f"There is no file or folder {name}. {error}") from None
    if trained and weights is None:
        tags = ", ".join(info(name).weights) or "a .weights.h5 file of yours"
        raise ValueError(f"{name} has random weights: give weights= ({tags}).")
    return create(name, **({} if weights is None else {"weights": weights}))


def _expected(kinds: Collection[str]) -> str:
    """What a caller takes, for its errors."""
    formats = ", ".join(row.suffix or f"{row.title} folder" for row in FORMATS.values())
    texts = {
        RUN: "the folder of a run",
        KERAS: "a .keras or .h5 file",
        ARTEFACT: f"an exported file ({formats})",
        ZOO: "the name of a model of the zoo",
    }
    *others, last = [text for kind, text in texts.items() if kind in kinds]
    return f"{', '.join(others)} or {last}" if others else last
