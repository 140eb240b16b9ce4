"""The page of results is what the table gives, and the weights that come along are those of its runs."""

from pathlib import Path

import numpy as np
import pytest

import kattn
from kattn.publish import results_page
from kattn.publish.checkout import zoo_file
from kattn.publish.results import Epoch, Result, history, results
from kattn.zoo.weights import manifest

ROOT = Path(__file__).parents[2]
TWINS = ["resnet20", *(f"{attention}_resnet20" for attention in ("se", "cbam", "bam", "gc", "afi", "abn"))]
EVALUATED_BY_DEFAULT = ("resnet20", "cbam_resnet20", "abn_resnet20")
TRAINED = manifest.read(zoo_file(f"weights/{manifest.TRAINED}").read_text(encoding="utf-8"))


def row(model, seed, top1, **more):
    values = {field: 1 for field in Result.__dataclass_fields__} | {
        "data": "cifar10",
        "recipe": "cifar_cpu",
        "note": "",
    }
    return Result(**values | {"model": model, "seed": seed, "top1": top1, "machine": "m", "versions": "v"} | more)


def epoch(model, seed, number):
    values = {"loss": 1.0, "accuracy": 0.4, "val_loss": 1.0, "val_accuracy": 0.4 + 0.1 * number}
    return Epoch(model=model, data="cifar10", recipe="cifar_cpu", epochs=2, seed=seed, epoch=number, **values)


def test_the_page_is_up_to_date():
    page = (ROOT / "docs" / results_page.PAGE).read_text(encoding="utf-8")
    assert page == results_page.page(results()), "run python -m kattn.publish results"


def test_every_row_is_of_a_model_with_its_size_and_its_epochs():
    epochs = {}
    for one in history():
        epochs.setdefault(one.run, []).append(one.epoch)
    for one in results():
        assert (one.parameters, one.macs) == (kattn.zoo.info(one.model).parameters, kattn.zoo.info(one.model).macs)
        assert epochs.pop(one.run) == list(range(1, one.epochs + 1))
    assert not epochs


def test_weights_that_come_along_were_trained_alike():
    assert {entry.model for entry in TRAINED} >= set(TWINS)
    assert len({entry.command.split(" --data ")[1] for entry in TRAINED}) == 1
    rows = [one for one in results() if one.command in {entry.command for entry in TRAINED}]
    assert len(rows) == len(TRAINED) and len({(one.steps, one.images, one.versions) for one in rows}) == 1


def test_every_network_is_compared_with_its_plain_twin_trained_alike():
    trained = {(one.run, one.steps, one.images) for one in results()}
    for one in results():
        twin = (kattn.zoo.info(one.model).backbone, *one.run[1:])
        assert (twin, one.steps, one.images) in trained


def test_resnet20_and_its_six_twins_are_compared_over_three_seeds():
    seeds = {model: {one.run[1:] for one in results() if one.model == model} for model in TWINS}
    everywhere = set.intersection(*seeds.values())  # data, recipe, epochs, seed
    assert len({run[-1] for run in everywhere}) >= 3


@pytest.mark.parametrize(
    "entry",
    [pytest.param(e, marks=[] if e.model in EVALUATED_BY_DEFAULT else [pytest.mark.slow]) for e in TRAINED],
    ids=lambda entry: entry.model,
)
def test_weights_that_come_along_are_as_accurate_as_stated(entry):
    """On 100 test images, of which three standard deviations are about eleven points."""
    sample = np.load(ROOT / "tests" / "data" / "cifar10_sample.npz")
    model = kattn.zoo.create(entry.model, weights="cifar10")
    evaluation = kattn.evaluate(
        model, {"train": (sample["images"], sample["labels"]), "test": (sample["images"], sample["labels"])}
    )
    assert abs(100 * evaluation.accuracy - float(entry.metric.split()[0])) < 11
    assert entry.command in {one.command for one in results()}


def test_no_model_has_two_weights_that_a_data_sets_name_alone_means():
    for model, tags in manifest.entries().items():
        defaults = [entry.tag.split(".")[0] for entry in tags.values() if entry.default]
        assert len(defaults) == len(set(defaults)), model


def test_differences_are_to_the_twin_of_the_same_seed():
    plain = [row("resnet20", seed, top1) for seed, top1 in ((0, 80.0), (1, 82.0))]
    gated = [row("se_resnet20", seed, top1) for seed, top1 in ((0, 80.5), (1, 81.0), (2, 99.0))]
    assert results_page.differences_of(gated, plain) == [0.5, -1.0]
    assert results_page.differences_of(plain, plain) == []
    text = results_page.page([*plain, *gated])
    assert "| se_resnet20 | 0, 1, 2 | 86.83 (80.50 to 99.00) | +0.50 -1.00 |" in text


def test_the_pictures_show_every_network(tmp_path, monkeypatch):
    rows = [row(name, seed, 80.0 + seed) for name in ("resnet20", "se_resnet20") for seed in (0, 1)]
    figure = results_page.cost_figure(rows)
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["resnet20", "se_resnet20"]
    monkeypatch.setattr(results_page, "results", lambda: rows)
    epochs = [epoch(one.model, one.seed, number) for one in rows for number in (1, 2)]
    curves = results_page.curves_figure(epochs).axes[0]
    assert np.allclose([line.get_ydata() for line in curves.lines], [[50, 60], [50, 60]])
    monkeypatch.setattr(results_page, "history", lambda: epochs)
    results_page.write_results(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [results_page.PAGE, results_page.COST, results_page.CURVES]
    )
