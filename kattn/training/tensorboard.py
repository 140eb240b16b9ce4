"""The curves of a run for TensorBoard, written without TensorFlow, so that they are there on every backend."""

from __future__ import annotations

import importlib.util
import io
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from kattn.files import append_bytes, make_folder
from kattn.runs.folder import run_error
from kattn.training.callbacks import RunCheckpoint

PARTS = ("train", "validation")


def check_tensorboard() -> None:
    """Raises ValueError where the package tensorboard is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ValueError(
            "tensorboard=True (--tensorboard) needs the package tensorboard: pip install tensorboard. It does not need "
            "TensorFlow; history.csv holds the same numbers without it."
        )


class TensorBoardLog(keras.callbacks.Callback):
    """Write the numbers of every epoch for TensorBoard: `<folder>/train` and `<folder>/validation`, one file a process.

    Among the callbacks it comes before the RunCheckpoint: a run that is killed may have logged an epoch that it will
    repeat, but never misses one. The first event of a resumed run tells TensorBoard to forget the epochs that are
    repeated.

    Args:
        folder: Where the logs go.
        checkpoint: Knows the epochs that are over, and the learning rate.
    """

    def __init__(self, folder: Path, checkpoint: RunCheckpoint) -> None:
        super().__init__()
        self.folder = folder
        self.checkpoint = checkpoint
        self.file = f"events.out.tfevents.{time.time():.6f}.{os.getpid()}"

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the files; where there were none, write the epochs that are over."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        known = any(self.folder.rglob("events.out.tfevents.*"))
        for part in PARTS:
            with run_error():
                make_folder(self.folder / part)
            self._write(part, Event(file_version="brain.Event:2"))
            start = SessionLog(status=SessionLog.SessionStatus.Value("START"))
            self._write(part, Event(step=self.checkpoint.first_epoch + 1, session_log=start))
        for row in () if known else self.checkpoint.rows:
            self._write_row(int(row["epoch"]), {name: value for name, value in row.items() if name != "epoch"})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the epoch's numbers."""
        self._write_row(epoch + 1, {**(logs or {}), "learning_rate": self.checkpoint.rate})

    def _write_row(self, epoch: int, row: Mapping[str, Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for part in PARTS:
            mine = {name: value for name, value in row.items() if name.startswith("val_") == (part == "validation")}
            values = [Summary.Value(tag=name.removeprefix("val_"), simple_value=float(mine[name])) for name in mine]
            if values:
                self._write(part, Event(step=epoch, summary=Summary(value=values)))

    def _write(self, part: str, event: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        event.wall_time = time.time()
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        with run_error():
            append_bytes(self.folder / part / self.file, record.getvalue())
