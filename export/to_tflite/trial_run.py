"""Run an integer .tflite file once in another process: its kernels end the process on scales they cannot work with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kattn.export.errors import ExportError

SECONDS = 300
SCRIPT = """
import sys
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1])
interpreter.allocate_tensors()
interpreter.invoke()
"""


def run_in_subprocess(path: Path) -> None:
    """Load and invoke the file in another process.

    Raises: ExportError if that process dies or fails, with the last line it printed.
    """
    if not sys.executable:  # an embedded interpreter has no name to start another by
        return
    try:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"The .tflite file did not run through in {SECONDS} s.") from error
    if done.returncode:
        said = [line for line in done.stderr.strip().splitlines() if not line.startswith(("INFO", "WARNING"))]
        reason = (
            f"it ends the process (signal {-done.returncode})" if done.returncode < 0 else (said or ["no reason"])[-1]
        )
        raise ExportError(f"ai-edge-litert cannot run the .tflite file: {reason}")
