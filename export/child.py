"""The child of `kattn.export.apart`: python -m kattn.export.child SECONDS, tasks in at its input, results out."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import sys
import threading
from typing import Any

from kattn.export.apart import call
from kattn.export.errors import ExportError


def main(idle: float) -> None:
    """Work through tasks until there is none for so many seconds. Where the parent has ended, end at once."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(messages,), daemon=True).start()

    def answer(**message: Any) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    while True:
        try:
            message = messages.get(timeout=idle)
        except queue.Empty:
            return
        for package in message.get("import", ()):
            with contextlib.suppress(Exception):  # the task that needs it says so
                importlib.import_module(package)
        if "task" in message:
            try:
                result = call(message["task"], message["arguments"], lambda done, of: answer(progress=[done, of]))
            except ExportError as error:
                answer(error=[type(error).__name__, str(error), 0])
            except OSError as error:
                answer(error=["OSError", error.strerror or str(error), error.errno])
            except Exception as error:
                answer(error=["ExportError", f"{type(error).__name__}: {error}", 0])
            else:
                answer(result=result)


def _read(messages: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        messages.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main(float(sys.argv[1]))
