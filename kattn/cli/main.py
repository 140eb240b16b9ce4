"""The command line: `kattn list | info | train | evaluate | export | convert | bench | tune | explain | quickstart`.

Listing and describing answer without importing Keras; each command imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import kattn

DECODED = 1000  # about so many images of a large data set are offered for calibration
RECIPE = "recipe."  # before the name of a recipe's field, as in the spaces of kattn tune
EXAMPLES = """\
examples:
  kattn quickstart                                    train, export and check an attention network on real images
  kattn list "afi_*"                                  models of the zoo by name
  kattn info afi_resnet50                             size, cost, papers and weights of one
  kattn train cbam_resnet20 --data cifar10 --out runs/cbam20
  kattn evaluate runs/cbam20                          accuracy of a run, or of a .keras, .tflite, .onnx or SavedModel
  kattn export runs/cbam20 --to tflite onnx --precision int8
  kattn bench runs/cbam20/model.tflite                latency
  kattn tune se_resnet20 --space reduction=2,4,8,16 --budget parameters=280000
  kattn convert resnet20.th --model resnet20 --out resnet20.weights.h5
  kattn explain runs/cbam20 photos/ --method grad_cam attention
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. An error is one line on stderr (a traceback with --debug)."""
    # Before anything imports TensorFlow: its start-up messages are none of the user's.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 2
    try:
        if arguments.needs_keras:
            _import_keras()
        return int(arguments.run(arguments) or 0)
    except KeyboardInterrupt:
        print("\nkattn: stopped. A training run goes on with the same command and --resume.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has gone
        sys.stderr.close()
        return 0
    except Exception as problem:
        if arguments.debug:
            raise
        kind = (
            ""
            if isinstance(problem, ValueError | TypeError | OSError | RuntimeError)
            else f"{type(problem).__name__}: "
        )
        print(f"kattn: error: {kind}{problem}", file=sys.stderr, flush=True)
        if type(problem).__name__ == "ProcessLost":  # leaving in order would wait for the process that is gone
            os._exit(1)
        return 1


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="kattn",
        description="Attention for convolutional networks: models, training, export.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kattn {kattn.__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], Any], text: str, example: str
    ) -> argparse.ArgumentParser:
        formatter = argparse.RawDescriptionHelpFormatter
        sub = commands.add_parser(
            name, help=text, description=text, epilog=f"example:\n  {example}", formatter_class=formatter
        )
        sub.set_defaults(run=run, needs_keras=run not in (list_models, info))
        # Also behind the command; absent there, it must not undo the one in front.
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        return sub

    one = command("list", list_models, "list the models of the zoo", 'kattn list "se_*resnet*"')
    one.add_argument("pattern", nargs="?", default="*", help='as of file names: "se_*" (default: all)')
    one.add_argument("--weights", action="store_true", help="only models with published weights")
    one.add_argument("--published", action="store_true", help="only pairs for which a paper prints an accuracy")

    one = command("info", info, "describe a model: size, cost, papers, weights", "kattn info afi_resnet50")
    one.add_argument("name")

    one = command(
        "train",
        train,
        "train a model by a recipe",
        "kattn train se_resnet20 --data cifar10 --set reduction=8\n  kattn train --from runs/search/best.json",
    )
    one.add_argument("name", nargs="?", help="a model of the zoo")
    one.add_argument(
        "--from", dest="source", metavar="BEST", help="the best.json of kattn tune; options here go before"
    )
    _add_data(one, default=None, shown="digits")
    one.add_argument("--recipe", help="name of a recipe or a .toml file (default: quick)")
    one.add_argument("--out", help="folder of the run (default: runs/<model>-<data>-<recipe>-<seed>)")
    one.add_argument("--seed", type=int, help="default: 0")
    one.add_argument("--epochs", type=int, help="instead of the recipe's")
    one.add_argument("--batch-size", type=int, help="instead of the recipe's")
    one.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="option of the model, or recipe.<field>=VALUE, such as recipe.clip_norm=1.0; repeatable",
    )
    one.add_argument("--validation", type=float, help="share of the training images kept for validation (default: 0.1)")
    one.add_argument("--split-seed", type=int, help="seed of the splits (default: 0)")
    _add_reading(one)
    one.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        help="of the computation; weights and answers stay float32 (default: float32)",
    )
    one.add_argument(
        "--devices", help='several: "all" or a number of this host\'s, "hosts" for those of several processes (JAX)'
    )
    one.add_argument("--tensorboard", action="store_true", help="write the curves for TensorBoard to the run's folder")
    one.add_argument("--resume", action="store_true", help="go on with a stopped run")
    one.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a run")

    one = command("evaluate", evaluate, "accuracy of a run, a model or an exported file", "kattn evaluate runs/afi20")
    one.add_argument("path", help="a run's folder, a .keras, .tflite or .onnx file, or a SavedModel folder")
    _add_data(one, default=None)
    one.add_argument("--split", default="test", choices=("test", "validation", "train"))
    _add_reading(one)
    one.add_argument("--json", action="store_true", help="print everything as JSON")

    one = command(
        "export",
        export,
        "export a run or a model, with a proof",
        "kattn export runs/afi20 --to tflite --precision int8",
    )
    one.add_argument("path", help="a run's folder, a .keras file, or a model of the zoo (random weights)")
    one.add_argument("--to", nargs="+", default=["tflite"], choices=("saved_model", "tflite", "onnx"))
    one.add_argument(
        "--precision",
        nargs="+",
        default=["float32"],
        choices=("float32", "float16", "dynamic", "int8"),
        help="of TFLite; several give several files",
    )
    one.add_argument("--calibration", help="images for int8: a folder or a TFDS name (default: the run's own data)")
    one.add_argument("--out", help="folder for the files (default: the run's folder, else the current one)")

    one = command(
        "convert",
        convert,
        "weights of other collections to kattn's, and back",
        "kattn convert resnet20.th --model resnet20 --out resnet20.weights.h5",
    )
    one.add_argument("file", help=".safetensors, torch's .pth and its kin, the .h5 of Keras 2, .npz; or .weights.h5")
    one.add_argument("--model", required=True, help="name in the zoo")
    one.add_argument(
        "--out", required=True, help="ends in .weights.h5, or in .safetensors for a torch-layout state dict"
    )
    one.add_argument("--dialect", help="table of names to follow, such as timm.resnet (default: the one that fits)")
    one.add_argument("--mean", type=_numbers, metavar="R,G,B", help="what the training subtracted from RGB in 0-1")
    one.add_argument("--std", type=_numbers, metavar="R,G,B", help="what it divided by")
    one.add_argument("--half", action="store_true", help="store kernels as float16")
    one.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="option of the model; repeatable"
    )

    one = command("bench", bench, "latency of exported files", "kattn bench model.tflite model.onnx --threads 1")
    one.add_argument("paths", nargs="+")
    one.add_argument("--threads", type=int, default=1)
    one.add_argument("--json", action="store_true", help="print everything as JSON")

    one = command(
        "tune",
        tune,
        "search for the best reduction, mechanism, place or recipe, within a budget",
        "kattn tune se_resnet20 --space reduction=2,4,8,16 --budget parameters=280000 --workers 2 --out runs/search\n"
        "  kattn tune se_resnet20 --space mechanism=se,eca,none stages=[2,3],[3] --objective accuracy int8_bytes\n"
        "  kattn tune se_resnet20 --space recipe.learning_rate=0.01..0.3:log --strategy bayesian --max-trials 20",
    )
    one.add_argument("name", help="a model of the zoo")
    _add_data(one, default="digits")
    one.add_argument(
        "--space",
        nargs="+",
        default=[],
        metavar="NAME=CHOICES",
        help="choices 2,4,8 or 0.01..0.3 or 0.01..0.3:log; names are options of the model, mechanism, backbone and "
        "recipe.<field> (default: reduction=2,4,8,16)",
    )
    one.add_argument("--strategy", default="grid", help="grid, random, bayesian or hyperband (default: grid)")
    one.add_argument(
        "--objective",
        nargs="+",
        default=["accuracy"],
        help="accuracy, and costs to weigh it against (default: accuracy)",
    )
    one.add_argument(
        "--budget",
        nargs="+",
        default=[],
        metavar="COST=MOST",
        help="of parameters, macs, int8_bytes, latency_ms; what is over it is not trained",
    )
    one.add_argument("--max-trials", type=int, help="default: 10 for random and bayesian")
    one.add_argument("--prune", action="store_true", help="end trials that are below the median of the others")
    one.add_argument("--recipe", default="quick", help="name of a recipe or a .toml file (default: quick)")
    one.add_argument("--epochs", type=int, help="instead of the recipe's")
    one.add_argument("--out", help="folder of the search (default: runs/tune-<model>-<data>-<seed>)")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--workers", type=int, default=1, help="processes that train at the same time (default: 1)")
    one.add_argument("--resume", action="store_true", help="go on with a stopped search")
    one.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a search")

    one = command(
        "explain",
        explain,
        "draw what a model looks at, or write the report of a run",
        "kattn explain runs/abn20 photos/ --method grad_cam attention\n  kattn explain runs/abn20 --report",
    )
    one.add_argument("model", help="a run's folder, a .keras file, or a model of the zoo (random weights)")
    one.add_argument("images", nargs="*", help="image files and folders of them; unreadable ones are left out, counted")
    one.add_argument("--beside", nargs="+", default=[], metavar="MODEL", help="further models, side by side")
    one.add_argument(
        "--method",
        nargs="+",
        default=["grad_cam"],
        choices=("cam", "grad_cam", "grad_cam_plus_plus", "attention"),
        help="default: grad_cam",
    )
    one.add_argument("--class", dest="classes", type=int, metavar="NUMBER", help="default: each image's predicted one")
    one.add_argument("--layer", help="the layer looked at (default: the method's choice)")
    one.add_argument(
        "--query", nargs=2, type=float, metavar=("ROW", "COLUMN"), help="pixel whose affinities attention shows"
    )
    one.add_argument("--image-size", type=int, help="height and width, for a model that leaves them open")
    one.add_argument("--format", default="png", choices=("png", "svg"), help="of the contact sheets (default: png)")
    one.add_argument("--out", help="folder for the pictures (default: explained), or file of the report")
    one.add_argument("--report", action="store_true", help="one HTML page of a finished run; takes no images")
    one.add_argument("--data-dir", help="with --report: where tensorflow-datasets keeps its data")

    one = command(
        "quickstart", quickstart, "train, export and check an attention network on real images", "kattn quickstart"
    )
    one.add_argument("--model", default="afi_resnet20", help="a CIFAR-style model of the zoo (default: afi_resnet20)")
    one.add_argument("--out", default="runs/quickstart", help="folder for everything (default: runs/quickstart)")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--epochs", type=int, help="instead of the recipe's, for a trial")
    return parser


def _add_data(parser: argparse.ArgumentParser, default: str | None, shown: str | None = None) -> None:
    text = "digits, a TFDS name, a folder of images by class, or A:B to train on one and test on another"
    shown = shown or default or "what the run was trained on"
    parser.add_argument("--data", default=default, help=f"{text} (default: {shown})")
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps its data")
    parser.add_argument("--image-size", type=int, help="bring all images to this height and width")
    parser.add_argument("--limit", type=int, help="at most so many images of each split")


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        help="of unreadable files, and classes that a part lacks: skip leaves them out, counted (default: raise)",
    )
    parser.add_argument(
        "--cache",
        action=argparse.BooleanOptionalAction,
        help="keep the decoded images in memory, or decode each when it is needed (default: keep them if they fit)",
    )


def _import_keras() -> None:
    """Import Keras with its backend in silence: TensorFlow reports its processor before any log level reaches it."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        import keras  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def list_models(arguments: argparse.Namespace) -> int:
    """Print the names that match."""
    names = kattn.zoo.list_models(arguments.pattern, weights=arguments.weights, published=arguments.published)
    if not names:
        kind = "model with weights" if arguments.weights else "model"
        raise ValueError(f"no {kind} matches {arguments.pattern!r}; `kattn list` shows all.")
    print("\n".join(names))
    return 0


def info(arguments: argparse.Namespace) -> None:
    """Print what is known of a model."""
    print(kattn.zoo.info(arguments.name))


def train(arguments: argparse.Namespace) -> None:
    """Train, evaluate, write the run's folder."""
    of_recipe = [setting for setting in arguments.set if setting.startswith(RECIPE)]
    overrides = {"epochs": arguments.epochs, "batch_size": arguments.batch_size}
    overrides |= _options([setting.removeprefix(RECIPE) for setting in of_recipe])
    splits = {name: getattr(arguments, name) for name in ("validation", "split_seed", "on_error", "cache")}
    chosen = _chosen(arguments) | {name: value for name, value in splits.items() if value is not None}
    kattn.train(
        chosen.pop("model"),
        out=arguments.out,
        options=chosen.pop("options") | _options([each for each in arguments.set if each not in of_recipe]),
        overrides={key: value for key, value in overrides.items() if value is not None},
        precision=arguments.precision,
        devices=arguments.devices,
        tensorboard=arguments.tensorboard,
        resume=arguments.resume,
        overwrite=arguments.overwrite,
        **chosen,
    )


def _chosen(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `train` trains on what: the defaults, then what --from says, then what the command line says."""
    chosen: dict[str, Any] = {"model": None, "options": {}, "recipe": "quick", "seed": 0, "data": "digits"}
    if arguments.source:
        from kattn.tuning.results import read_best

        if arguments.name:
            raise ValueError(f"--from says which model; leave {arguments.name} out.")
        chosen |= read_best(arguments.source)
    said = {"model": arguments.name, "recipe": arguments.recipe, "seed": arguments.seed, **_data(arguments)}
    chosen |= {key: value for key, value in said.items() if value is not None}
    if chosen["model"] is None:
        raise ValueError("name a model of the zoo (`kattn list`), or give --from with the best.json of kattn tune.")
    if chosen["data"] is None:
        raise ValueError("the search was over arrays: give --data.")
    return chosen


def tune(arguments: argparse.Namespace) -> None:
    """Search, and write the search's folder."""
    kattn.tune(
        arguments.name,
        space=dict(map(_choices, arguments.space)) or None,
        strategy=arguments.strategy,
        objective=arguments.objective,
        budget=dict(map(_most, arguments.budget)),
        recipe=arguments.recipe,
        overrides={} if arguments.epochs is None else {"epochs": arguments.epochs},
        max_trials=arguments.max_trials,
        prune=arguments.prune,
        out=arguments.out,
        seed=arguments.seed,
        workers=arguments.workers,
        resume=arguments.resume,
        overwrite=arguments.overwrite,
        **_data(arguments),
    )


def _choices(setting: str) -> tuple[str, Any]:
    """NAME=CHOICES: values with commas between, or a range."""
    name, equals, text = setting.partition("=")
    if not equals or not name or not text:
        raise ValueError(f"--space takes NAME=CHOICES, such as reduction=2,4,8. Received: {setting!r}")
    ends, _, scale = text.partition(":")
    low, dots, high = ends.partition("..")
    if dots:
        if scale not in ("", "log"):
            raise ValueError(f"A range is 0.01..0.3 or 0.01..0.3:log. Received: {setting!r}")
        return name, {"low": _literal(low), "high": _literal(high), "log": scale == "log"}
    values = _literal(f"[{text}]")
    return name, values if isinstance(values, list) else [_literal(part) for part in text.split(",")]


def _most(setting: str) -> tuple[str, float]:
    name, _, text = setting.partition("=")
    try:
        return name, float(text)
    except ValueError:
        raise ValueError(f"--budget takes COST=MOST, such as parameters=280000. Received: {setting!r}") from None


def evaluate(arguments: argparse.Namespace) -> None:
    """Print the evaluation of anything that gives predictions."""
    result = kattn.evaluate(
        arguments.path, split=arguments.split, on_error=arguments.on_error, cache=arguments.cache, **_data(arguments)
    )
    print(json.dumps(result.to_dict(), indent=1) if arguments.json else result)


def export(arguments: argparse.Namespace) -> None:
    """Export in every format and precision asked for."""
    model, folder, images = _open_model(arguments)
    for form in arguments.to:
        for precision in arguments.precision if form == "tflite" else ["float32"]:
            if form == "saved_model":
                report = kattn.export.saved_model(model, folder / f"{model.name}_saved_model")
            elif form == "onnx":
                report = kattn.export.onnx(model, folder / f"{model.name}.onnx")
            else:
                calibration = images() if precision == "int8" else None
                path = folder / f"{model.name}_{precision}.tflite"
                report = kattn.export.tflite(model, path, precision=precision, calibration=calibration)
            print(report, flush=True)


def _open_model(arguments: argparse.Namespace) -> tuple[Any, Path, Callable[[], Any]]:
    """The model, the folder its exports go to, and a function that gives calibration images."""
    from kattn.evaluation.evaluation import load_keras
    from kattn.runs.folder import RunFolder

    path = Path(arguments.path)
    spec = arguments.calibration
    if RunFolder(path).finished:
        folder = RunFolder(path)
        model, home = folder.load_model(), path
        spec = spec or folder.config()["data"]["spec"]
    elif path.suffix == ".keras":
        model, home = load_keras(path), Path()
    elif path.exists():
        raise ValueError(f"{path} is neither the folder of a finished run nor a .keras file.")
    else:
        model, home = kattn.zoo.create(arguments.path), Path()

    def images() -> Any:
        from kattn.data.loading import load
        from kattn.data.stored import StoredImages

        if not spec:
            raise ValueError("int8 needs --calibration: a folder of images, a TFDS name or digits.")
        _, height, width, channels = model.input_shape
        size = (height, width) if height and width else None
        train = load(spec, image_size=size, channels=channels, splits=("train",)).train
        if isinstance(train.images, StoredImages):
            train = train.take(slice(None, None, max(1, len(train) // DECODED)))
        return train.images[:].astype("float32")

    out = Path(arguments.out) if arguments.out else home
    out.mkdir(parents=True, exist_ok=True)
    return model, out, images


def convert(arguments: argparse.Namespace) -> None:
    """Write the weights of another collection as kattn's, or kattn's as a torch-layout state dict."""
    options = _options(arguments.set)
    options |= {key: getattr(arguments, key) for key in ("mean", "std") if getattr(arguments, key)}
    if arguments.out.endswith(".safetensors"):
        from safetensors.numpy import save_file

        model = kattn.zoo.create(arguments.model, weights=arguments.file, **options)
        save_file(kattn.zoo.to_state_dict(model, arguments.dialect), arguments.out, metadata={"format": "pt"})
    else:
        model = kattn.zoo.convert(
            arguments.file,
            arguments.model,
            out=arguments.out,
            dialect=arguments.dialect,
            half=arguments.half,
            **options,
        )
    print(f"{arguments.out}: {model.count_params():,} numbers of {arguments.model}, each in its place")


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def bench(arguments: argparse.Namespace) -> None:
    """Print the latency of exported files, measured in turn."""
    result = kattn.export.bench(*arguments.paths, threads=arguments.threads)
    print(json.dumps(result.to_dict(), indent=1) if arguments.json else result)


def explain(arguments: argparse.Namespace) -> None:
    """Draw maps of image files, or write a run's report."""
    from kattn.explain.reports.map_files import draw_maps as draw

    if arguments.report:
        if arguments.images:
            raise ValueError("--report shows the run's own test images; leave the images out.")
        if arguments.beside:
            raise ValueError("--report is of one run; leave --beside out, or leave --report out and name images.")
        print(kattn.explain.report(arguments.model, arguments.out, data_dir=arguments.data_dir))
        return
    if not arguments.images:
        raise ValueError("name image files or folders to explain, or pass --report for a run.")
    opened = {name: _model_of(name) for name in (arguments.model, *arguments.beside)}
    size = (arguments.image_size, arguments.image_size) if arguments.image_size else None
    written = draw(
        {Path(name).stem: model for name, (model, _) in opened.items()},
        arguments.images,
        arguments.out or "explained",
        methods=arguments.method,
        classes=arguments.classes,
        layer=arguments.layer,
        query=tuple(arguments.query) if arguments.query else None,
        size=size,
        form=arguments.format,
        class_names=opened[arguments.model][1],
    )
    print("\n".join(map(str, written)))


def _model_of(name: str) -> tuple[Any, list[str] | None]:
    """A run's model with the names of its classes, that of a .keras file, or one of the zoo."""
    from kattn.evaluation.evaluation import load_keras
    from kattn.runs.folder import RunFolder

    path = Path(name)
    if RunFolder(path).finished:
        return RunFolder(path).load_model(), RunFolder(path).config()["data"]["class_names"]
    if path.suffix == ".keras":
        return load_keras(path), None
    if path.exists():
        raise ValueError(f"{path} is neither the folder of a finished run nor a .keras file.")
    return kattn.zoo.create(name), None


def quickstart(arguments: argparse.Namespace) -> None:
    """From images to files for a phone and a server."""
    from kattn.cli.quickstart import run

    run(model=arguments.model, out=arguments.out, seed=arguments.seed, epochs=arguments.epochs)


def _options(settings: Sequence[str]) -> dict[str, Any]:
    """OPTION=VALUE pairs; a value is read as a Python literal where it is one, else as text."""
    options = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(f"--set takes OPTION=VALUE, such as --set reduction=8. Received: {setting!r}")
        options[key] = _literal(text)
    return options


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _data(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "data": arguments.data,
        "data_dir": arguments.data_dir,
        "image_size": arguments.image_size,
        "limit": arguments.limit,
    }


if __name__ == "__main__":
    sys.exit(main())
