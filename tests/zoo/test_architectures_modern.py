"""Networks with the blocks of after 2018 have the parameters and multiply-adds of their authors' code.

`tests/data/architectures_modern.csv` holds networks counted with the authors' modules. A row without a call is of a
network that the zoo does not have.
"""

import csv

import pytest
from support import TESTS
from support.models import trainable
from support.sweeps import swept

import kattn
from kattn.zoo import info
from kattn.zoo.attentions.table import ATTENTIONS

TABLE = list(csv.DictReader((TESTS / "data" / "architectures_modern.csv").read_text().splitlines()))
ROWS = {row["call"]: (int(row["params"]), int(row["macs"])) for row in TABLE if row["call"]}
QUICK = {"coord_mobilenet_v2()", "mhsa_resnet50()"}
OTHER_NETWORKS = {
    "spnet": "segmentation backbones with a deep stem, stride 8 and no classifier",
    "vovnet": "VoVNetV2 is no backbone of the zoo",
    "trunk_V": "VoVNetV2 is no backbone of the zoo",
    "_s1": "a last stage of stride 1",
    "botnet": "timm's own design",
}


def here(call):
    """Whether the zoo has the mechanism."""
    return call.split("_")[0].split("(")[0] in {*ATTENTIONS, "resnet50", "resnet101", "mobilenet"}


@pytest.mark.parametrize("call", swept(filter(here, ROWS), QUICK))
def test_parameters_and_macs_are_those_of_the_authors_code(call):
    model = eval(f"kattn.zoo.{call}", {"kattn": kattn})
    assert (trainable(model), kattn.profile(model).macs) == ROWS[call]


@pytest.mark.parametrize("call", [call for call in ROWS if here(call) and call.endswith("()")])
def test_the_table_of_models_has_the_sizes_of_the_authors_code(call):
    one = info(call.removesuffix("()"))
    assert (one.parameters, one.macs) == ROWS[call]


def test_every_network_without_a_call_is_another_network():
    others = [row["name"] for row in TABLE if not row["call"]]
    assert len(others) == 20
    assert all(any(part in name for part in OTHER_NETWORKS) for name in others)
