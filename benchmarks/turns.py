"""Processes that take turns: each waits while another computes, so that a change of the machine's load meets all."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

Answer = dict[str, Any]


class Talk:
    """The side of a process that takes turns. What it prints otherwise goes nowhere."""

    def __init__(self) -> None:
        self.answers = os.fdopen(os.dup(1), "w")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def answer(self, **figures: Any) -> None:
        """Give the figures of a turn (the first ones say that the process is ready) and wait for the next turn.

        Where there is none the process ends here, wherever it is.
        """
        self.answers.write(json.dumps(figures) + "\n")
        self.answers.flush()
        if not sys.stdin.readline():
            os._exit(0)


def in_turns(
    commands: Mapping[str, Sequence[str]], rounds: int, environment: Mapping[str, str]
) -> tuple[dict[str, Answer], dict[str, list[Answer]]]:
    """Start processes one after the other, then give them turns, forwards and backwards.

    Args:
        commands: By name. A process whose first answer has a key "missing" takes no turns.
        rounds: Turns of each.
        environment: Added to this process's.

    Returns: The first answers, and those of the turns.
    Raises: SystemExit when a process ends by itself.
    """
    processes: dict[str, Any] = {}

    def answer(name: str) -> Answer:
        line = processes[name].stdout.readline()
        if not line:
            raise SystemExit(f"{name} ended with status {processes[name].wait()}")
        return json.loads(line)

    first: dict[str, Answer] = {}
    try:
        for name, command in commands.items():
            processes[name] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
            )
            first[name] = answer(name)
        names = [name for name in commands if "missing" not in first[name]]
        turns: dict[str, list[Answer]] = {name: [] for name in names}
        for number in range(rounds):
            for name in names if number % 2 == 0 else names[::-1]:
                processes[name].stdin.write("\n")
                processes[name].stdin.flush()
                turns[name].append(answer(name))
    finally:
        for process in processes.values():
            process.stdin.close()
            process.wait()
    return first, turns


def ratios(of: Sequence[float], to: Sequence[float]) -> dict[str, float]:
    """How many times faster one is than the other: median of the rounds' ratios, 10th and 90th percentile."""
    seen = [theirs / ours for ours, theirs in zip(of, to, strict=True)]
    if len(seen) == 1:
        return dict.fromkeys(("ratio", "low", "high"), seen[0])
    tenths = statistics.quantiles(seen, n=10, method="inclusive")
    return {"ratio": statistics.median(seen), "low": tenths[0], "high": tenths[-1]}


def spread(found: Mapping[str, float]) -> str:
    """As text."""
    return f"{found['ratio']:.3f} ({found['low']:.3f}-{found['high']:.3f})"
