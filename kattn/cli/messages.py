"""Messages of the library, as the command line says them."""

from __future__ import annotations

import argparse
import re

# What may follow "name=" in a sentence: a text in quotes, a tuple or list, a number or a word.
VALUE = r"""('[^']*'|"[^"]*"|\([^)]*\)|\[[^\]]*\]|-?\d+(?:\.\d+)?|\w*)"""
ALONE = ("", "True", "None", "...")  # values that a flag says without a word behind it


def in_flags(message: str, parser: argparse.ArgumentParser) -> str:
    """A message with the library's arguments written as options: "overwrite=True" as "--overwrite".

    Args:
        message: Of an error of the library.
        parser: Of the command that was called; only its options are rewritten.
    """
    for flag in dict.fromkeys(re.findall(r"--(?:no-)?([a-z-]+)", parser.format_usage())):
        name = flag.replace("-", "_")

        def option(found: re.Match[str], flag: str = flag) -> str:
            parts = re.sub(r"""['"\[\](),]""", " ", found[1]).split()
            numbers = all(re.fullmatch(r"-?\d+(\.\d+)?", part) for part in parts)
            value = ("," if numbers else " ").join(parts)
            if value == "False":
                return f"--no-{flag}"
            return f"--{flag}" if value in ALONE else f"--{flag} {value}"

        message = re.sub(rf"(?<![\w-]){name}={VALUE}(?: \(--{flag}\))?", option, message)
        if "_" in name:
            message = re.sub(rf"(?<![\w.]){name}(?![\w.])", f"--{flag}", message)
    return message
