"""`features`: every level has the stride of its name."""

import keras
import pytest
from support.models import largest_difference, pixels

from kattn.zoo import create, features
from kattn.zoo.backbones.table import BACKBONES


def test_levels_have_the_stride_of_their_name():
    model = features(create("bam_resnet50", input_shape=(64, 96, 3), depths=(1, 1, 1, 1)))
    shapes = {level: tuple(y.shape) for level, y in model.output.items()}
    assert shapes == {f"C{k}": (None, 64 >> k, 96 >> k, 64 << k) for k in (2, 3, 4, 5)}


def test_the_last_level_is_what_the_head_takes():
    model = create("abn_resnet20", include_top=False, depths=(1, 1, 1))
    x = pixels((1, 32, 32, 3))
    assert largest_difference(features(model, "C2")(x)["C2"], model(x)) == 0


def test_a_loaded_model_has_its_levels(tmp_path):
    create("resnet20", depths=(1, 1, 1)).save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    assert list(features(loaded).output) == ["C0", "C1", "C2"]


def test_unknown_levels_and_foreign_models_are_refused():
    with pytest.raises(ValueError, match=r"has no level C5. Levels: C0, C1, C2"):
        features(create("resnet20", depths=(1, 1, 1)), levels=("C2", "C5"))
    x = keras.Input((4, 4, 3))
    with pytest.raises(ValueError, match=r"takes models of kattn.zoo"):
        features(keras.Model(x, keras.layers.Conv2D(1, 1)(x)))


def check_backbone(name):
    """Every level has the stride of its name, and ImageNet networks have C2 to C5."""
    size = 64 if BACKBONES[name].input_shape[0] > 64 else 32
    size = 96 if name == "inception_resnet_v2" else size  # which takes 75 pixels at least
    model = features(create(name, include_top=False, input_shape=(size, size, 3)))
    if size > 32:
        deepest = 4 if name == "squeezenet1_1" else 5  # SqueezeNet ends at stride 16
        assert {f"C{k}" for k in range(2, deepest + 1)} <= set(model.output)
    for level, y in model.output.items():
        wanted = size / 2 ** int(level[1:])
        # Networks with unpadded convolutions (Inception-ResNet, SqueezeNet, Xception) lose up to a few positions.
        assert wanted - 4 <= y.shape[1] <= wanted + 1 and y.shape[1] == y.shape[2], (level, y.shape)


SMALL = ("densenet40_k12", "mobilenet_v1", "shufflenet_v2_x0_5", "vgg16", "squeezenet1_1", "preact_resnet18")


@pytest.mark.parametrize("name", SMALL)
def test_a_network_of_each_kind_has_its_levels(name):
    check_backbone(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_has_its_levels(name):
    check_backbone(name)
