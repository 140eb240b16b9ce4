"""timm's networks with random weights, converted, give timm's numbers; and every row of the manifest fits its file."""

import keras
import pytest
from support.parity import assert_same_logits, collection, random_state

import kattn
from kattn.zoo.weights.assigning import load_tensors
from kattn.zoo.weights.files.foreign_files import open_tensors
from kattn.zoo.weights.files.state_dict import to_state_dict
from kattn.zoo.weights.manifest import entries
from kattn.zoo.weights.naming.dialects import dialects
from kattn.zoo.weights.pairing import make_plan

SIZES = ((96, 128), (97, 65))
COMPARED = (
    "resnet18",
    "resnet50",
    "resnet50d",
    "seresnet50",
    "legacy_seresnet50",
    "ecaresnet50t",
    "gcresnet50t",
    "skresnet18",
    "resnest14d",
    "resnext50_32x4d",
    "wide_resnet50_2",
    "densenet121",
    "mobilenetv2_100",
)
LEGACY = {  # files of the manifest that lie elsewhere, and timm's name of their networks
    "se_resnet50-ce0d4300.pth": "legacy_seresnet50",
    "se_resnet101-7e38fcc6.pth": "legacy_seresnet101",
    "se_resnet152-d17c99b7.pth": "legacy_seresnet152",
    "legacy_se_resnext50_32x4d-f3651bad.pth": "legacy_seresnext50_32x4d",
    "legacy_se_resnext101_32x4d-37725eac.pth": "legacy_seresnext101_32x4d",
}
ROWS = {}
for tags in entries().values():
    for entry in tags.values():
        name = LEGACY.get(entry.url.rpartition("/")[2]) or entry.hub.removeprefix("timm/").partition(".")[0]
        if name:
            ROWS.setdefault(name, entry)


@pytest.mark.parametrize("name", COMPARED)
def test_logits(name):
    theirs = random_state(collection("timm").create_model(name), name)
    entry = ROWS[name]
    assert entry.verified == "logits"
    ours = kattn.zoo.create(
        entry.model,
        input_shape=(None, None, 3),
        include_preprocessing=False,
        classifier_activation=None,
        **entry.options,
    )
    load_tensors(ours, theirs.state_dict(), dialect=entry.dialect or None)
    assert_same_logits(ours, theirs, *SIZES)


@pytest.mark.parametrize("name", ["resnet50d", "skresnet18", "resnest14d", "mobilenetv2_100"])
def test_back_to_torch(name):
    import torch

    entry, timm = ROWS[name], collection("timm")
    theirs = random_state(timm.create_model(name), name)
    options = {"input_shape": (64, 64, 3), "include_preprocessing": False, "classifier_activation": None}
    ours = kattn.zoo.create(entry.model, **options, **entry.options)
    load_tensors(ours, theirs.state_dict())
    again = timm.create_model(name).eval()
    state = {key: torch.from_numpy(value.copy()) for key, value in to_state_dict(ours, "timm").items()}
    again.load_state_dict(state, strict=True)
    assert_same_logits(ours, again, (64, 64))


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_row_fits_its_network(name):
    """Names and shapes of all tensors, and no more than that: no values are made."""
    import torch

    with torch.device("meta"):
        theirs = collection("timm").create_model(name)
    entry = ROWS[name]
    meta = keras.device("meta") if keras.backend.backend() == "torch" else keras.device("cpu")
    with meta:
        ours = kattn.zoo.create(entry.model, **entry.options)
    with open_tensors(theirs.state_dict()) as tensors:
        best = min(make_plan(ours, tensors, table).problems for table in dialects().values())
    assert best == 0


@pytest.mark.parametrize("name", ["seresnet18", "seresnet34"])
def test_rounded_widths_of_gates_are_found(name):
    theirs = random_state(collection("timm").create_model(name, pretrained=False), name)
    ours = kattn.zoo.convert(
        theirs.state_dict(),
        name.replace("seresnet", "se_resnet"),
        input_shape=(None, None, 3),
        include_preprocessing=False,
        classifier_activation=None,
    )
    assert {layer.divisor for layer in ours.layers if layer.name.endswith("squeeze_excite")} == {8}
    assert_same_logits(ours, theirs, *SIZES)
