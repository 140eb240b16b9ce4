"""Every sample of README and docs runs, in the order of its page, in a fresh process and folder.

A block, and a page, that is new is run without an entry here. Entries say what a reader of a page has before its first
line, and what is replaced or left out because this machine has no internet, no second host and no phone.
"""

import re
from dataclasses import dataclass, field

import pytest
from support.pages import PAGES, SHELL, blocks_of, run_page

# Languages of blocks that are not run, and why.
NOT_RUN = {
    "text": "what a program prints, or an equation",
    "kotlin": "needs Android's SDK and a phone",
}

DATA = "from support.page_data import *\n"
MODEL = "from support.small_models import *\nmodel, images = train(build()), coloured(40)[0].astype('float32')\n"


@dataclass(frozen=True)
class Page:
    """What the run of a page needs.

    Attributes:
        before: Python that makes what the page's reader has.
        replaced: Text of the page by what stands for it; each occurs.
        left_out: First words of blocks that are not run, and why.
        printed: What the page shows is what its code prints.
    """

    before: str = ""
    replaced: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    printed: bool = False


ENTRIES = {
    "README.md": Page(
        before=DATA + "images, labels = labelled(370, 32, classes=37)\n",
        replaced={"afi_resnet50(classes=37, input_shape=(160, 160, 3))": "afi_resnet20(classes=37)"},
        left_out={
            "python3 -m venv .venv && .venv/bin/pip install . ": "downloads packages; tests/cli/test_quickstart.py",
            "python3 -m venv .venv && .venv/bin/pip install -e": "downloads packages, and is these tests",
        },
    ),
    "android.md": Page(before=MODEL + "picture = images[0].astype('uint8')\n"),
    "compare.md": Page(
        before=DATA + "photos()\n",
        replaced={
            "--data digits --seeds 3": "--limit 40 --epochs 1 --seeds 1",
            "limit=128, epochs=2": "limit=40, epochs=1",
            "cbam_resnet20 --data photos": "--image-size 32 --epochs 1 --data photos",
            "--weights cifar10 --seeds 3": "--weights cifar10 --seeds 1",
        },
        left_out={
            "dask scheduler": "does not end; tests/comparison/test_killed.py has a cluster",
            "from dask_jobqueue": "needs a cluster with SLURM",
            "kattn compare resnet20 se_resnet20 cbam_resnet20 bam_resnet20": "trains for hours",
        },
    ),
    "describe.md": Page(before=DATA + "photos()\n", printed=True),
    "explain.md": Page(
        before=DATA
        + "photos()\n"
        + "small_run('abn_resnet20', 'runs/abn20')\n"
        + "model = small_run('cbam_resnet20', 'runs/cbam20').model\n",
    ),
    "export.md": Page(before=MODEL + "image = images[0].astype('uint8')\n"),
    "insertion.md": Page(replaced={"MobileNetV2()": "MobileNetV2(weights=None)"}),
    "own_attention.md": Page(
        replaced={
            "mechanism=mygate,se factor=0.5,1.0": "mechanism=mygate,se factor=0.5 --limit 60 --epochs 1",
            "--data digits --seeds 3": "--data digits --limit 60 --epochs 1 --seeds 2",
            "--data digits --out runs/mygate": "--data digits --epochs 1 --out runs/mygate",
        }
    ),
    "server.md": Page(left_out={"python server.py": "does not end; tests/docs/test_serving.py"}),
    "training.md": Page(
        before=DATA + "cifar10()\n",
        left_out={"# on the first host": "needs two hosts; tests/training/test_devices.py has two processes"},
    ),
    "tuning.md": Page(
        before=DATA + "cifar10()\nimages, labels = labelled(60, 32)\n",
        replaced={
            "kattn tune se_resnet20 --": "kattn tune se_resnet20 --limit 60 --epochs 1 --",
            "reduction=2,4,8,16": "reduction=2,16",
            "mechanism=se,eca,none stages=[2,3],[3]": "mechanism=se,none stages=[3]",
            "--max-trials 20": "--max-trials 4",
            "max_trials=20,": "max_trials=2,",
            "max_trials=4)": "max_trials=2)",
        },
        left_out={"KERASTUNER_TUNER_ID=chief": "needs two hosts; tests/tuning/test_workers.py has several processes"},
    ),
    "weights.md": Page(
        before=DATA + "saved_weights()\n",
        replaced={
            'se_resnet50(weights="imagenet"': 'se_resnet20(weights="cifar10"',
            'se_mobilenet_v2(weights="imagenet"': 'se_resnet20(weights="cifar10"',
            'resnet50(weights="imagenet.timm_d"': 'resnet20(weights="cifar10.kattn"',
            "(224, 224, 4)": "(32, 32, 4)",
            "resnet20.th": "published.safetensors",
        },
    ),
}
RUNNING = [name for name, page in PAGES.items() if any(each.language not in NOT_RUN for each in blocks_of(page))]


def runnable(name):
    """The blocks of a page that are run, with what is replaced in them."""
    entry, left_out, found = ENTRIES.get(name, Page()), set(), []
    for block in blocks_of(PAGES[name]):
        starts = [start for start in entry.left_out if block.text.startswith(start)]
        left_out.update(starts)
        if not starts and block.language not in NOT_RUN:
            found.append(block)
    return found, left_out


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNING)
def test_the_samples_of_a_page_run_in_its_order(name, tmp_path):
    entry = ENTRIES.get(name, Page())
    blocks, _ = runnable(name)
    printed = run_page(PAGES[name], blocks, tmp_path, entry.before, entry.replaced)
    if entry.printed:
        shown = [block.text for block in blocks_of(PAGES[name]) if block.language == "text"]
        assert len(shown) >= 8
        for text in shown:
            assert without_numbers(text) in without_numbers(printed)


def without_numbers(text):
    """Keras numbers the inputs and operations of a process."""
    return re.sub(r"_\d+\b|\bsubtract\b", "", text)


@pytest.mark.parametrize("name", PAGES)
def test_each_block_says_what_it_is(name):
    blocks, left_out = runnable(name)
    assert {block.language for block in blocks} <= {"python", *SHELL}
    entry = ENTRIES.get(name, Page())
    assert left_out == set(entry.left_out)
    for text in entry.replaced:
        assert any(text in block.text for block in blocks), text
    outside = re.sub(r"```.*?```", "", PAGES[name].read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.findall(r"^ {4,}(?:kattn|python|pip|import|from|curl) .*$", outside, re.MULTILINE)
