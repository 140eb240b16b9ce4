"""`kattn convert`: weights of other collections, and kattn's for others."""

from __future__ import annotations

import argparse

from kattn.cli.arguments import add_set, numbers, options_of

HELP = "weights of other collections to kattn's, and back"
EXAMPLE = "kattn convert resnet20.th --model resnet20 --out resnet20.weights.h5"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("file", help=".safetensors, torch's .pth and its kin, Keras's .h5 and .keras, .npz")
    parser.add_argument("--model", required=True, help="name in the zoo")
    parser.add_argument(
        "--out", required=True, help="ends in .weights.h5, or in .safetensors for a torch-layout state dict"
    )
    parser.add_argument("--dialect", help="table of names to follow, such as timm.resnet (default: the one that fits)")
    parser.add_argument(
        "--ema", action="store_true", help="of a checkpoint with averaged weights beside the trained: the averaged"
    )
    parser.add_argument("--mean", type=numbers, metavar="R,G,B", help="what the training subtracted from RGB in 0-1")
    parser.add_argument("--std", type=numbers, metavar="R,G,B", help="what it divided by")
    parser.add_argument("--half", action="store_true", help="store kernels as float16")
    add_set(parser)


def run(arguments: argparse.Namespace) -> None:
    """Write the weights of another collection as kattn's, or kattn's as a torch-layout state dict."""
    from kattn.zoo.converting import convert
    from kattn.zoo.weights.files.state_dict import to_state_dict

    options = options_of(arguments.set)
    options |= {key: getattr(arguments, key) for key in ("mean", "std") if getattr(arguments, key)}
    if arguments.out.endswith(".safetensors"):
        from safetensors.numpy import save

        from kattn.files import write_bytes
        from kattn.zoo.tables import builder

        model = builder(arguments.model)(weights=arguments.file, **options)
        write_bytes(arguments.out, save(to_state_dict(model, arguments.dialect), metadata={"format": "pt"}))
    else:
        model = convert(
            arguments.file,
            arguments.model,
            out=arguments.out,
            dialect=arguments.dialect,
            ema=arguments.ema,
            half=arguments.half,
            **options,
        )
    print(f"{arguments.out}: {model.count_params():,} numbers of {arguments.model}, each in its place")
