"""`kattn train`: train, evaluate, write the run's folder."""

from __future__ import annotations

import argparse
from typing import Any

from kattn.cli.arguments import (
    add_computing,
    add_data,
    add_reading,
    add_set,
    add_stated,
    data_of,
    options_of,
    stated_of,
)

HELP = "train a model by a recipe"
EXAMPLE = "kattn train se_resnet20 --data cifar10 --set reduction=8\n  kattn train --from runs/search/best.json"
RECIPE = "recipe."  # before the name of a recipe's field, as in the spaces of kattn tune


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("name", nargs="?", help="a model of the zoo")
    parser.add_argument(
        "--from", dest="source", metavar="BEST", help="the best.json of kattn tune; options here go before"
    )
    add_data(parser, default=None, shown="digits")
    parser.add_argument(
        "--recipe",
        help="name of a recipe or a .toml file; auto: finetune with weights, small_data for fewer than 1000 images, "
        "else quick (default: auto)",
    )
    parser.add_argument("--out", help="folder of the run (default: runs/<model>-<data>-<recipe>-<seed>)")
    parser.add_argument("--seed", type=int, help="default: 0")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--batch-size", type=int, help="instead of the recipe's")
    add_set(parser, "option of the model, or recipe.<field>=VALUE, such as recipe.clip_norm=1.0; repeatable")
    parser.add_argument(
        "--validation", type=float, help="share of the training images kept for validation (default: 0.1)"
    )
    parser.add_argument("--split-seed", type=int, help="seed of the splits (default: 0)")
    add_reading(parser)
    add_computing(parser)
    parser.add_argument(
        "--devices", help='several: "all" or a number of this host\'s, "hosts" for those of several processes (JAX)'
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write the curves for TensorBoard to the run's folder"
    )
    add_stated(parser, leave_out=("value_range",))  # networks of the zoo take raw pixels
    parser.add_argument("--resume", action="store_true", help="go on with a stopped run")
    parser.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a run")


def run(arguments: argparse.Namespace) -> None:
    """Train by what the command line and --from say."""
    from kattn.training.run import train

    of_recipe = [setting for setting in arguments.set if setting.startswith(RECIPE)]
    overrides = {"epochs": arguments.epochs, "batch_size": arguments.batch_size}
    overrides |= options_of([setting.removeprefix(RECIPE) for setting in of_recipe])
    splits = {name: getattr(arguments, name) for name in ("validation", "split_seed", "on_error", "cache")}
    chosen = _chosen(arguments) | {name: value for name, value in splits.items() if value is not None}
    train(
        chosen.pop("model"),
        out=arguments.out,
        options=chosen.pop("options") | options_of([each for each in arguments.set if each not in of_recipe]),
        overrides={key: value for key, value in overrides.items() if value is not None},
        class_weight=arguments.class_weight,
        precision=arguments.precision,
        devices=arguments.devices,
        tensorboard=arguments.tensorboard,
        **stated_of(arguments),
        resume=arguments.resume,
        overwrite=arguments.overwrite,
        **chosen,
    )


def _chosen(arguments: argparse.Namespace) -> dict[str, Any]:
    """What to train on what: the defaults, then what --from says, then what the command line says."""
    chosen: dict[str, Any] = {"model": None, "options": {}, "recipe": "auto", "seed": 0, "data": "digits"}
    if arguments.source:
        from kattn.tuning.results import read_best

        if arguments.name:
            raise ValueError(f"--from says which model; leave {arguments.name} out.")
        chosen |= read_best(arguments.source)
    said = {"model": arguments.name, "recipe": arguments.recipe, "seed": arguments.seed, **data_of(arguments)}
    chosen |= {key: value for key, value in said.items() if value is not None}
    if chosen["model"] is None:
        raise ValueError("name a model of the zoo (`kattn list`), or give --from with the best.json of kattn tune.")
    if chosen["data"] is None:
        raise ValueError("the search was over arrays: give --data.")
    if arguments.source and arguments.data is None:
        from kattn.data.loading import local_data_dir

        places = (arguments.data_dir,) if arguments.data_dir else (chosen["data_dir"], None)
        chosen["data_dir"] = local_data_dir(chosen["data"], *places, who=arguments.source)
    elif arguments.source:
        chosen["data_dir"] = arguments.data_dir
    return chosen
