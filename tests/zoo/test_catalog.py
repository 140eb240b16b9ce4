"""The table of models agrees with the code, and answers without it."""

import csv
import math
from importlib import resources

import pytest

import kattn
from kattn.zoo import catalog, info, list_models
from kattn.zoo.tables import pairs

HINT = "run python -m kattn.publish catalog"


def test_the_table_lists_exactly_the_models_that_can_be_built():
    text = resources.files("kattn.zoo").joinpath(catalog.TABLE).read_text()
    assert sorted(row["name"] for row in csv.DictReader(text.splitlines())) == sorted(pair[0] for pair in pairs()), HINT


def test_lists_are_in_natural_order_and_filtered():
    names = list_models("se_resnet*")
    assert names.index("se_resnet20") < names.index("se_resnet110")
    assert all(name.startswith("se_resnet") for name in names)
    published = list_models(published=True)
    assert "se_resnet50_v1" in published and "gc_densenet121" not in published
    with_weights = list_models(weights=True)
    assert {"se_resnet50", "cbam_resnet50", "densenet121"} <= set(with_weights)
    assert all(info(name).weights for name in with_weights)
    assert "gc_densenet121" not in with_weights


def test_info_says_what_the_papers_print():
    one = info("se_resnet50_v1")
    assert one.parameters == 28_088_024 and one.attention == "se" and one.backbone == "resnet50_v1"
    text = str(one)
    assert "arXiv:1709.01507" in text and "arXiv:1512.03385" in text and "76.71 % ImageNet top-1" in text


def test_every_printed_accuracy_belongs_to_a_model_and_is_a_percentage():
    for name, results in catalog._published().items():
        assert name in list_models()
        assert all(0 < float(r.top1) < 100 and r.call.startswith(f"{name}(") for r in results)


def test_an_unknown_name_gets_the_closest_ones():
    with pytest.raises(ValueError, match=r"Unknown model 'cbam_resnet5O'. Closest: .*cbam_resnet50"):
        info("cbam_resnet5O")


def test_every_model_is_an_attribute_with_help():
    assert "cbam_densenet121" in dir(kattn.zoo)
    assert "reduction" in kattn.zoo.cbam_densenet121.__doc__
    assert math.prod(info("resnet20").input_shape) == 32 * 32 * 3
