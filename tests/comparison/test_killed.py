"""Comparisons that train, killed at random; on one and two workers, and on a cluster."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

OPTIONS = ["--data", "digits", "--limit", "128", "--epochs", "2", "--recipe", "quick", "--seeds", "3"]
SMALL = ["--set", "depths=(1,1,1)", "--set", "widths=(4,4,8)"]
COMMAND = [sys.executable, "-m", "kattn", "compare", "resnet20", "se_resnet20:reduction=2", *OPTIONS, *SMALL]
RESULTS = ("comparison.csv", "comparison.json", "comparison.md", "comparison.png", "comparison.html", "runs.csv")

pytestmark = pytest.mark.slow


def call(out, *options, kill_after=None):
    """Run the command; kill it, and nothing but it, after so many seconds."""
    started = subprocess.Popen(
        [*COMMAND, "--out", str(out), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        printed, _ = started.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        os.kill(started.pid, signal.SIGKILL)
        started.communicate()
        return False
    assert started.returncode == 0, printed.decode()[-3000:]
    return True


def same_results(one, other):
    for name in RESULTS:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The folder of a comparison with one worker, and the seconds that it took."""
    out, began = tmp_path_factory.mktemp("comparisons") / "straight", time.monotonic()
    assert call(out, "--workers", "1")
    return out, time.monotonic() - began


def test_killed_three_times_it_ends_with_the_same_bytes(straight, tmp_path):
    expected, seconds = straight
    draw, out, killed = random.Random(7), tmp_path / "killed", 0
    while killed < 3:
        if call(out, "--workers", "1", kill_after=seconds * draw.uniform(0.2, 0.6)):
            shutil.rmtree(out)  # it was faster than that
        else:
            killed += 1
    call(out, "--workers", "1")
    same_results(expected, out)


def test_two_workers_give_the_same_table_as_one(straight, tmp_path):
    call(tmp_path / "two", "--workers", "2")
    same_results(straight[0], tmp_path / "two")


def test_a_cluster_of_two_workers_gives_the_same_table_also_where_one_dies(straight, tmp_path):
    distributed = pytest.importorskip("distributed")
    out = tmp_path / "cluster"
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        started = subprocess.Popen([*COMMAND, "--out", str(out), "--cluster", cluster.scheduler_address])
        try:
            while not list(out.glob("runs/*/state.npz")):  # in the middle of a run
                time.sleep(0.2)
                assert started.poll() is None
            os.kill(cluster.workers[0].pid, signal.SIGKILL)
            assert started.wait(timeout=3600) == 0
        finally:
            started.kill()
            started.wait()
    same_results(straight[0], out)
