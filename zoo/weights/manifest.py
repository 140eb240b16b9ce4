"""The published weights: what `weights.toml`, and `trained/weights.toml` for those that come along, say of them.

Imports no Keras.

A tag is `imagenet` or `cifar10`, or names its source too: `imagenet.timm`. The short form means the entry that is
marked as the model's default for that data.
"""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from kattn.suggest import closest

MANIFEST = "weights.toml"
TRAINED = "trained/weights.toml"  # written by kattn.publish.runs
VERIFIED = ("logits", "structure", "no")
STRONG = "sha256", 64  # the algorithm and the digits of a hash that nobody can forge a file for


@dataclass(frozen=True)
class Entry:
    """One published set of weights.

    Attributes:
        model: Name in the zoo.
        tag: data.source, such as imagenet.timm.
        classes, input_shape: Of the network that was trained.
        mean, std: What its training normalised RGB in 0-1 with.
        license: Of the weights, as their source states it.
        metric, metric_source: Accuracy, and who says so.
        verified: "logits": networks of this form, with random weights, were converted and gave the source's own
            numbers; "structure": names and shapes of all tensors were compared; "no": as the source documents it.
        default: Whether the data's name alone means this entry.
        hub, revision: Repository on the Hugging Face hub, and its version.
        url: Where the file lies otherwise.
        file: Its name in the repository or the archive; a path below this package for weights that come with it.
        hash: algorithm:hexadecimal digits (a beginning of eight digits at least), of the file, in an archive of what it
            holds; empty where the source publishes none. Without a whole SHA-256, that of the first download is
            recorded and holds from then on.
        megabytes: Of the download, about.
        dialect: Table of names that the file follows; empty for a file of kattn's own.
        options: How the model must be built for these weights.
        interpolation, crop: Of the evaluation that gave the metric: the image is resized to input / crop.
        recipe, seed, command: How it was trained, for weights that come with the package.
        note: What else a user should know.
    """

    model: str
    tag: str
    classes: int
    input_shape: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    license: str
    metric: str
    metric_source: str
    verified: str
    default: bool = False
    hub: str = ""
    revision: str = "main"
    url: str = ""
    file: str = ""
    hash: str = ""
    megabytes: int = 0
    dialect: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    interpolation: str = "bilinear"
    crop: float = 1.0
    recipe: str = ""
    seed: int | None = None
    command: str = ""
    note: str = ""

    @property
    def source(self) -> str:
        """Where the file comes from, in words."""
        return f"hub:{self.hub}/{self.file}" if self.hub else self.url or f"kattn:{self.file}"

    @property
    def local(self) -> Path | None:
        """The file itself, for weights that come with the package."""
        return None if self.hub or self.url else Path(str(resources.files("kattn.zoo.weights").joinpath(self.file)))

    @property
    def weak_hash(self) -> str:
        """Why the manifest's hash shows damage but not a forgery, in words; empty for a whole SHA-256, or for none."""
        algorithm, _, digits = self.hash.partition(":")
        if not self.hash or (algorithm, len(digits)) == STRONG:
            return ""
        part = f"the first {4 * len(digits)} bits of its SHA-256" if algorithm == "sha256" else algorithm.upper()
        return f"the source states only {part}, for which a file can be forged"

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes, in order, where those of the data are known."""
        file = resources.files("kattn.zoo.weights").joinpath(f"labels/{self.tag.partition('.')[0]}.txt")
        if not file.is_file():
            return None
        names = tuple(file.read_text(encoding="utf-8").splitlines())
        return names if len(names) == self.classes else None

    def facts(self) -> dict[str, Any]:
        """What `info` tells: all that is set; `verified` also says where the hash of the file is weak."""
        facts = dataclasses.asdict(self) | {"source": self.source}
        facts["verified"] += f"; weak hash: {self.weak_hash}" if self.weak_hash else ""
        return {
            key: value for key, value in facts.items() if key not in ("model", "tag") and value not in ("", None, {})
        }


@functools.cache
def entries() -> dict[str, dict[str, Entry]]:
    """Model to tag to entry, of both files."""
    found: dict[str, dict[str, Entry]] = {}
    for name in (TRAINED, MANIFEST):
        for row in read(resources.files("kattn.zoo.weights").joinpath(name).read_text(encoding="utf-8")):
            found.setdefault(row.model, {})[row.tag] = row
    return found


def read(text: str) -> list[Entry]:
    """Entries of a manifest: the rows of [[weights]], each completed from the table of its source in [sources].

    Raises: ValueError for a row that is incomplete or has a field that does not exist.
    """
    content = tomllib.loads(text)
    known = {one.name: one for one in dataclasses.fields(Entry)}
    rows = []
    for row in content.get("weights", []):
        values = content.get("sources", {}).get(row.get("from"), {}) | {k: v for k, v in row.items() if k != "from"}
        values = {key: tuple(one) if isinstance(one, list) else one for key, one in values.items()}
        if "options" in values:
            options = {key: tuple(one) if isinstance(one, list) else one for key, one in values["options"].items()}
            values["options"] = options
        required = {name for name, one in known.items() if one.default is one.default_factory is dataclasses.MISSING}
        wrong = sorted((set(values) - set(known)) | (required - set(values)))
        if (
            wrong
            or values["verified"] not in VERIFIED
            or not (values.get("hub") or values.get("url") or values["file"])
        ):
            raise ValueError(
                f"weights.toml, {row.get('model')} {row.get('tag')}: {', '.join(wrong) or 'no such value'}"
            )
        rows.append(Entry(**values))
    return rows


def tags(model: str) -> dict[str, Entry]:
    """The published weights of a model, by tag; empty where there are none."""
    return entries().get(model, {})


def find(model: str, tag: str) -> Entry:
    """The entry of a tag, also in its short form. Raises ValueError with the tags that exist."""
    published = tags(model)
    if tag in published:
        return published[tag]
    for entry in published.values():
        if entry.default and entry.tag.split(".")[0] == tag:
            return entry
    close = closest(tag, published, count=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"weights={tag!r} does not exist for {model}; published: {', '.join(published) or 'none'}.{hint} "
        "Use weights=None for random weights, or the path of a file."
    )
