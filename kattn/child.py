"""The child of `kattn.apart`: python -m kattn.child SECONDS, tasks in at its input, results out at its output."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import sys
import threading
from typing import Any

from kattn.apart import call


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
        for package in (*message.get("import", ()), *message.get("task", "").split(":")[:1]):
            with contextlib.suppress(Exception):  # the task that needs it says so
                importlib.import_module(package)
        if "task" in message:
            answer(begins=True)
            try:
                result = call(message["task"], message["arguments"], lambda done, of: answer(progress=[done, of]))
            except Exception as error:
                names = [kind.__name__ for kind in type(error).__mro__]
                text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
                answer(error=[names, text, getattr(error, "errno", None) or 0])
            else:
                answer(result=result)


def _read(messages: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        messages.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main(float(sys.argv[1]))
