"""The generated table, page and type stub of the zoo are what the code gives."""

import random

import pytest

from kattn.publish import catalog, checkout
from kattn.publish.models_page import page
from kattn.publish.stubs import stub_text
from kattn.zoo import info
from kattn.zoo.tables import pairs

HINT = "run python -m kattn.publish catalog"
SMALL = [name for name, _, backbone in pairs() if backbone in ("resnet20", "mobilenet_v2_cifar")]


def test_page_and_stub_are_up_to_date():
    assert checkout.zoo_file("MODELS.md").read_text() == page(), HINT
    assert checkout.zoo_file("__init__.pyi").read_text() == stub_text(), HINT


def check(name):
    row, one = catalog.row_of(name), info(name)
    assert (row["parameters"], row["macs"], row["matmul_macs"]) == (one.parameters, one.macs, one.matmul_macs), HINT


@pytest.mark.parametrize("name", random.Random(0).sample(SMALL, 2))
def test_a_sample_of_the_table_has_the_counts_of_the_code(name):
    check(name)


@pytest.mark.slow
def test_the_whole_table_has_the_counts_of_the_code():
    for name, *_ in pairs():
        check(name)


def test_only_models_that_the_table_lacks_are_built(monkeypatch, tmp_path):
    (tmp_path / "zoo").mkdir()
    whole, built = catalog.known_rows(), []
    monkeypatch.setattr(checkout, "root", lambda: tmp_path)
    monkeypatch.setattr(catalog, "row_of", lambda name: built.append(name) or whole[name])
    known = {name: row for name, row in whole.items() if name != "se_resnet20"} | {"gone": whole["resnet20"]}
    catalog.generate(known)
    assert built == ["se_resnet20"]
    assert catalog.known_rows() == whole
