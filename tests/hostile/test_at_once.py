"""Two processes at once in one place, many times and at random offsets: no torn file, no mixed results."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time

import pytest
from support import TESTS
from support.commands import contents, differences
from support.misbehaving_server import serve

ROUNDS = int(os.environ.get("ROUNDS", 50))
CONTENT = bytes(range(256)) * 4096
pytestmark = pytest.mark.slow


class Worker:
    """A process that does one thing after another; see tests/support/worker.py."""

    def __init__(self):
        environment = {**os.environ, "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(TESTS / "support" / "worker.py")]
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, text=True, env=environment, **streams)

    def tell(self, do, at=0.0, **given):
        self.process.stdin.write(json.dumps({"do": do, "with": given, "at": at}) + "\n")
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def do(self, do, **given):
        self.tell(do, **given)
        answer = self.answer()
        assert "error" not in answer, answer
        return answer["result"]


@pytest.fixture(scope="module")
def two():
    workers = [Worker(), Worker()]
    yield workers
    for worker in workers:
        worker.process.stdin.close()
        worker.process.wait(60)
        worker.process.stdout.close()


@pytest.fixture(scope="module")
def inputs(two, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    two[0].do("prepare", inputs=str(folder))
    return folder


class Interleavings:
    """Both workers begin at random moments, so that the two meet anywhere; counts what became of it."""

    def __init__(self, two, seconds):
        self.two, self.seconds, self.draw = two, seconds, random.Random(0)
        self.found = {"rounds": 0, "overlapping": 0, "refused": 0}

    def next(self, *jobs):
        start = time.time() + 0.05
        for worker, (do, given) in zip(self.two, jobs, strict=True):
            worker.tell(do, at=start + self.draw.random() * self.seconds, **given)
        answers = [worker.answer() for worker in self.two]
        done = [answer["to"] - answer["from"] for answer in answers if "error" not in answer]
        self.seconds = min(self.seconds, max(done, default=self.seconds))  # a busy machine may have begun slowly
        self.found["rounds"] += 1
        self.found["overlapping"] += max(a["from"] for a in answers) < min(a["to"] for a in answers)
        self.found["refused"] += sum("error" in a for a in answers)
        return answers


def timed(worker, do, **given):
    """How long it takes, the second time."""
    worker.do(do, **given)
    started = time.time()
    worker.do(do, **given)
    return time.time() - started


def report(capsys, what, found):
    with capsys.disabled():
        print(f"\n{what}: {found}")
    assert found["rounds"] == ROUNDS and found["overlapping"] > ROUNDS / 5


@pytest.fixture(scope="module")
def whole(two, inputs, tmp_path_factory):
    """The two trainings, each by itself: seed to (folder, files, what a reader finds)."""
    found = {}
    for seed in (0, 1):
        out = tmp_path_factory.mktemp("whole") / "out"
        two[seed].do("train", data=str(inputs / "data"), out=str(out), seed=seed)
        found[seed] = (out, contents(out), two[seed].do("read", run=str(out)))
    return found


def test_two_trainings(two, inputs, whole, tmp_path, capsys):
    jobs = [("train", {"data": str(inputs / "data"), "out": str(tmp_path / "r"), "seed": seed}) for seed in (0, 1)]
    tries = Interleavings(two, timed(two[0], "train", **jobs[0][1]))
    for _ in range(ROUNDS):
        answers = tries.next(*jobs)
        errors = [answer["error"] for answer in answers if "error" in answer]
        assert len(errors) < 2
        assert all("RunError" in error and "is in use by process" in error for error in errors), errors
        assert contents(tmp_path / "r") in [whole[0][1], whole[1][1]]
    report(capsys, "two trainings", tries.found)
    assert tries.found["refused"] > ROUNDS / 5


def test_a_training_and_a_reader(two, inputs, whole, tmp_path, capsys):
    out, seen = tmp_path / "r", set()
    shutil.copytree(whole[0][0], out)
    seconds = timed(two[0], "train", data=str(inputs / "data"), out=str(out), seed=0)
    tries = Interleavings(two, seconds)
    for number in range(ROUNDS):
        seed = (number + 1) % 2
        job = {"data": str(inputs / "data"), "out": str(out), "seed": seed}
        trained, read = tries.next(("train", job), ("read", {"run": str(out)}))
        assert "error" not in trained, trained
        if "error" in read:
            assert "RunError" in read["error"], read
            assert any(said in read["error"] for said in ("no finished run", "cannot be read", "no run's folder"))
        else:
            assert read["result"] in [whole[0][2], whole[1][2]]
            seen.add(read["result"]["seed"])
        assert contents(out) == whole[seed][1]
    report(capsys, "a training and a reader", tries.found)
    assert seen


@pytest.mark.parametrize("form", ["tflite", "onnx", "saved_model"])
def test_two_exports_of_one_name(form, two, whole, tmp_path, capsys):
    def words(seed, out):
        return ["export", str(whole[seed][0] / "model.keras"), "--to", form, "--out", str(out)]

    expected = []
    for seed in (0, 1):
        two[seed].do("call", words=words(seed, tmp_path / f"{seed}" / "out"))
        expected.append(contents(tmp_path / f"{seed}" / "out"))
    assert expected[0] != expected[1]
    out = tmp_path / "both" / "out"
    tries = Interleavings(two, timed(two[0], "call", words=words(0, out)))
    for _ in range(ROUNDS):
        answers = tries.next(*[("call", {"words": words(seed, out)}) for seed in (0, 1)])
        assert not [answer for answer in answers if "error" in answer]
        assert contents(out) in expected, [differences(contents(out), each) for each in expected]
    report(capsys, f"two exports, {form}", tries.found)


def test_two_evaluations(two, whole, capsys):
    run = str(whole[0][0])
    before = contents(whole[0][0])
    expected = two[0].do("evaluate", run=run)
    tries = Interleavings(two, timed(two[0], "evaluate", run=run))
    for _ in range(ROUNDS):
        answers = tries.next(("evaluate", {"run": run}), ("evaluate", {"run": run}))
        assert [answer.get("result") for answer in answers] == [expected] * 2, answers
    assert contents(whole[0][0]) == before
    report(capsys, "two evaluations", tries.found)


@pytest.mark.parametrize("ways", [("whole",), ("cut 0.5", "whole"), ("status 503", "whole")], ids=" ".join)
def test_two_fetches_into_one_cache(ways, two, tmp_path, capsys):
    digest = hashlib.sha256(CONTENT).hexdigest()
    facts = {"model": "resnet20", "tag": "cifar10.test", "classes": 10, "input_shape": [32, 32, 3]}
    facts |= {"mean": [0.5] * 3, "std": [0.5] * 3, "license": "none", "metric": "none", "metric_source": "none"}
    facts |= {"verified": "no", "hash": f"sha256:{digest}"}
    tries = Interleavings(two, 0.05)
    with serve() as server:
        for number in range(ROUNDS):
            home = tmp_path / str(number)
            one = facts | {"url": server.put(f"/{number}.bin", CONTENT, *ways)}
            answers = tries.next(*[("fetch", {"facts": one, "home": str(home)})] * 2)
            assert [answer.get("result") for answer in answers] == [digest] * 2, answers
            files = [name for name in contents(home) if not name.startswith("records")]
            assert len(files) == 1 and files[0].startswith("files/"), files
            assert len(server.gets(f"/{number}.bin")) == len(ways)
            shutil.rmtree(home)
    report(capsys, f"two fetches, {' then '.join(ways)}", tries.found)
