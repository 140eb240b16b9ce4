"""The files of a comparison."""

import csv
import json
from html.parser import HTMLParser

import pytest
from support.comparing import finish, made_up_plan

from kattn.comparison.errors import ComparisonError
from kattn.comparison.plan import OUTCOME
from kattn.comparison.results import collect, write

VALUES = {"resnet20": [0.90, 0.92, 0.91], "se_resnet20 (reduction=8)": [0.93, None, 0.915], "<b>": [0.9, 0.9, "left"]}
FILES = ("comparison.csv", "comparison.json", "comparison.md", "comparison.png", "comparison.html", "runs.csv")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return made_up_plan(tmp_path_factory.mktemp("made-up"), VALUES, export=["tflite:int8", "onnx:float32"])


@pytest.fixture(scope="module")
def written(plan):
    found = collect(plan)
    write(plan, found)
    return found


def test_the_tables_have_every_model_and_every_run(plan, written):
    models = list(csv.DictReader((plan.path / "comparison.csv").read_text().splitlines()))
    assert [row["model"] for row in models] == list(VALUES)
    assert float(models[0]["mean"]) == pytest.approx(0.91) and models[0]["difference"] == ""
    assert (models[1]["runs"], models[1]["diverged"], models[1]["pairs"]) == ("2", "1", "2")
    assert float(models[1]["tflite:int8"]) == pytest.approx((0.929 + 0.914) / 2)
    runs = list(csv.DictReader((plan.path / "runs.csv").read_text().splitlines()))
    assert len(runs) == 9 and [row["status"] for row in runs].count("finished") == 7
    assert runs[4]["status"] == "diverged" and runs[4]["top1"] == "" and "nan in epoch 4" in runs[4]["why"]
    content = json.loads((plan.path / "comparison.json").read_text())
    assert content["left"] == 1 and len(content["runs"]) == 9 and content["sentences"] == written.sentences


def test_the_same_runs_give_the_same_bytes_in_whatever_order_they_came(plan, written, tmp_path):
    later = made_up_plan(tmp_path, {**VALUES, "resnet20": ["left", 0.92, "left"]}, export=plan.settings.export)
    write(later, collect(later))
    for job in later.jobs[::-1]:
        if job.entry.label == "resnet20" and job.seed != 1:
            finish(later, job, VALUES["resnet20"][job.seed])
    write(later, collect(later))
    for name in FILES:
        assert (later.path / name).read_bytes() == (plan.path / name).read_bytes(), name


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.addresses = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]


def test_the_page_holds_everything_itself(plan, written):
    page = Page()
    page.feed(text := (plan.path / "comparison.html").read_text())
    assert "b" not in page.tags and "script" not in page.tags and "&lt;b&gt;" in text
    assert all(each.startswith(("#", "data:image/png;base64,")) for each in page.addresses)
    assert "no difference from resnet20 seen at this budget" in text and "does not say that there is none" in text
    assert "kattn compare resnet20" in text


def test_printed_it_is_the_table_and_what_it_says(written):
    lines = str(written).splitlines()
    assert lines[0].split()[:3] == ["model", "seeds", "accuracy,"]
    assert "2, 1 diverged" in lines[2] and lines[4] == "" and lines[5] == "Not finished: 1 of 9 runs are left."


def test_a_damaged_record_is_named(tmp_path):
    plan = made_up_plan(tmp_path, {"resnet20": [0.9]})
    file = plan.folder(plan.jobs[0]) / OUTCOME
    file.write_text('{"status": "won", "artefacts": {}}')
    with pytest.raises(ComparisonError, match=r"outcome\.json is damaged"):
        collect(plan)
