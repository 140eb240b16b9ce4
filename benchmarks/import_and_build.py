"""What importing kattn and building a model cost, against Keras itself.

usage: python benchmarks/import_and_build.py [--rounds 5]

Prints medians of processor seconds (machines are noisy; wall time is not compared) and their ratios, measured in turns:
- `import kattn`, `kattn --help`, `kattn list`, `kattn info NAME`: they import no Keras;
- `import keras` against `import keras, kattn, kattn.layers, kattn.zoo`;
- building `afi_resnet152` against `keras.applications.ResNet152` in one process.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def cpu_of(*command: str) -> float:
    """Processor seconds of a finished child process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def in_turns(jobs: dict, rounds: int) -> dict[str, list[float]]:
    """Every job once a round, so that a drift of the machine meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds + 1):
        for name, job in jobs.items():
            times[name].append(job())
    return {name: seconds[1:] for name, seconds in times.items()}  # the first round warms caches


def report(title: str, times: dict[str, list[float]], against: str | None = None) -> None:
    print(title)
    for name, seconds in times.items():
        ratio = ""
        if against and name != against:
            ratios = [a / b for a, b in zip(seconds, times[against], strict=True)]
            ratio = f"   ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        print(f"  {name:<45}{statistics.median(seconds):8.3f} s{ratio}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    python = sys.executable

    commands = {
        "import kattn": ["-c", "import kattn"],
        "kattn --help": ["-m", "kattn", "--help"],
        "kattn list": ["-m", "kattn", "list"],
        "kattn info afi_resnet50": ["-m", "kattn", "info", "afi_resnet50"],
    }
    jobs = {name: lambda words=words: cpu_of(python, *words) for name, words in commands.items()}
    report("command line, processor seconds of the whole process", in_turns(jobs, rounds))

    imports = {
        "import keras": "import keras",
        "import keras, kattn.layers, kattn.zoo": "import keras, kattn.layers, kattn.zoo",
    }
    jobs = {name: lambda code=code: cpu_of(python, "-c", code) for name, code in imports.items()}
    report("import", in_turns(jobs, rounds), against="import keras")

    import keras

    import kattn

    def timed(build):
        def job() -> float:
            keras.utils.clear_session()
            start = time.process_time()
            build()
            return time.process_time() - start

        return job

    jobs = {
        "keras.applications.ResNet152": timed(lambda: keras.applications.ResNet152(weights=None)),
        "kattn.zoo.afi_resnet152": timed(lambda: kattn.zoo.create("afi_resnet152")),
        "kattn.zoo.resnet152": timed(lambda: kattn.zoo.create("resnet152")),
    }
    report("build", in_turns(jobs, rounds), against="keras.applications.ResNet152")


if __name__ == "__main__":
    main()
