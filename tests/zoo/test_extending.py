"""A new attention and a new backbone are one row each; everything else follows."""

import sys

import keras
import numpy as np
import pytest
from PIL import Image
from support.models import assert_probabilities, largest_difference, layers_of, pixels, randomise, trainable

import kattn
from kattn.cli.main import main
from kattn.zoo import create, features, info, list_models, save_weights
from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.backbones.row import Backbone, all_but
from kattn.zoo.backbones.table import BACKBONES
from kattn.zoo.grammar.assembly import assemble, stage_of_blocks
from kattn.zoo.grammar.convolutions import conv_bn
from kattn.zoo.grammar.sites import Attention

SIZE = 8


@keras.saving.register_keras_serializable("kattn_tests")
class ToyGate(keras.layers.Layer):
    """x times one learned number a channel, `factor` at the start."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer=keras.initializers.Constant(self.factor))

    def call(self, x):
        return x * self.scale

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def toy_block(x, filters, strides, at):
    """One convolution beside nothing: a block without a shortcut."""
    return at.output(at.residual(at.first_conv(at.input(x), filters, 3, strides)))


def toynet(x, sites, head, *, width=4):
    """A stem and two stages of one block."""
    stages = [
        stage_of_blocks(toy_block, 1, sites, i, filters=width * i, strides=strides) for i, strides in ((1, 1), (2, 2))
    ]
    return assemble(conv_bn(x, width, 3, name="stem_conv"), stages, sites, head, stem_strides=1)


ATTENTION = Attention(residual=ToyGate, paper="A paper on gates")
BACKBONE = Backbone(
    toynet,
    stages=2,
    paper="A paper on toys",
    input_shape=(SIZE, SIZE, 3),
    classes=2,
    sites=all_but("inner", "shortcut", "integrated"),
    options=("width",),
)


@pytest.fixture
def attention(monkeypatch):
    monkeypatch.setitem(ATTENTIONS, "toy", ATTENTION)


@pytest.fixture
def backbone(monkeypatch):
    monkeypatch.setitem(BACKBONES, "toynet", BACKBONE)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of a dark and a bright class."""
    folder = tmp_path_factory.mktemp("images")
    for label, value in (("bright", 220), ("dark", 30)):
        (folder / label).mkdir()
        for i in range(10):
            Image.fromarray(np.full((SIZE, SIZE, 3), value + i, "uint8")).save(folder / label / f"{i}.png")
    return folder


def run(capsys, *arguments):
    status = main(arguments)
    shown = capsys.readouterr()
    assert status == 0, shown.err
    return shown.out


def check_library(name, folder, **options):
    """Build, predict, features, freeze, weights, a step of training, cost."""
    model = create(name, **options)
    randomise(model)
    shape = (2, *model.input_shape[1:])
    assert_probabilities(model, shape[1:3])
    levels = features(model).output
    assert all(y.shape[1] == shape[1] // 2 ** int(level[1:]) for level, y in levels.items())
    about = {"model": name, "options": {**options, "classes": model.output_shape[-1]}}
    path = save_weights(model, folder / "toy.weights.h5", about=about)
    again = create(name, weights=path, freeze=1)
    assert largest_difference(again(pixels(shape)), model(pixels(shape))) == 0
    assert 0 < trainable(again) < trainable(model)
    model.save(folder / "toy.keras")
    assert largest_difference(keras.saving.load_model(folder / "toy.keras")(pixels(shape)), model(pixels(shape))) == 0
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert np.isfinite(model.train_on_batch(pixels(shape), np.arange(2)))
    cost = kattn.profile(model)
    assert cost.parameters == trainable(model) and cost.macs > 0


def check_command_line(capsys, name, images, out, *options):
    """List, describe, train, evaluate."""
    assert name in run(capsys, "list", f"{name}*").split()
    described = run(capsys, "info", name)
    assert f"{info(name).parameters:,}" in described and "none published" in described
    arguments = ["--data", str(images), "--image-size", str(SIZE), "--epochs", "1", "--out", str(out)]
    run(capsys, "train", name, *arguments, *options)
    assert "accuracy" in run(capsys, "evaluate", str(out))


def test_an_attention_is_a_row(attention, tmp_path, capsys, images):
    assert {"toy_resnet20", "toy_mobilenet_v2", "toy_vgg16"} <= set(list_models("toy_*"))
    assert "toy_attention56" not in list_models()  # which has no place at the end of a residual branch
    with pytest.raises(ValueError, match="toy has no place in attention56: residual: its residual units lie inside"):
        create("toy_attention56")
    one = info("toy_resnet20")
    assert (one.attention, one.backbone, one.weights) == ("toy", "resnet20", {})
    assert one.parameters == info("resnet20").parameters + 3 * (16 + 32 + 64)
    assert "A paper on gates" in str(one) and "factor: Of the mechanism. Default: 1.0" in kattn.zoo.toy_resnet20.__doc__

    model = create("toy_resnet20", factor=0.5, stages=(3,), position="shortcut", depths=(1, 1, 2))
    assert layers_of(model, "ToyGate") == [f"stage3_block{i}_toy_gate" for i in (1, 2)]
    assert model.get_layer("stage3_block1_toy_gate").factor == 0.5
    with pytest.raises(TypeError, match=r"toy_resnet20 has no option ratio\. Options of this model: depths, factor"):
        create("toy_resnet20", ratio=2)
    check_library("toy_resnet20", tmp_path, input_shape=(SIZE, SIZE, 3), depths=(1, 1, 1), classes=4)
    check_command_line(capsys, "toy_resnet20", images, tmp_path / "run", "--set", "depths=(1,1,1)")


def test_a_backbone_is_a_row(backbone, tmp_path, capsys, images):
    names = list_models("*toynet")
    assert {"toynet", "se_toynet", "bam_toynet", "afi_toynet", "abn_toynet"} <= set(names)
    assert "afi_se_toynet" not in names  # which has no place for AFI's partner
    with pytest.raises(ValueError, match="afi_se has no place in toynet: integrated: it has no stage of equal blocks"):
        create("afi_se_toynet")
    one = info("toynet")
    assert (one.input_shape, one.classes, one.papers) == ((SIZE, SIZE, 3), 2, ("A paper on toys",))
    assert one.parameters == (27 * 4 + 8) + (36 * 4 + 8) + (36 * 8 + 16) + (8 * 2 + 2)
    assert create("toynet", width=6).get_layer("stage2_block1_conv1").filters == 12
    for name in ("se_toynet", "abn_toynet"):
        assert_probabilities(create(name), (SIZE, SIZE))
    check_library("toynet", tmp_path, width=3)
    check_command_line(capsys, "toynet", images, tmp_path / "run", "--set", "width=3")


def test_both_at_once_make_a_segmentation_network(attention, backbone):
    assert info("toy_toynet").parameters == info("toynet").parameters + 4 + 8
    model = kattn.zoo.criss_cross(
        backbone="toy_toynet", output_stride=2, channels=4, classes=3, input_shape=(SIZE, SIZE, 3), auxiliary=False
    )
    assert_probabilities(model, (SIZE, SIZE))


def test_a_row_that_is_gone_leaves_nothing_behind(monkeypatch):
    with monkeypatch.context() as added:
        added.setitem(ATTENTIONS, "toy", ATTENTION)
        assert create("toy_resnet20", depths=(1, 1, 1)) and "toy_resnet20" in list_models()
    assert "toy_resnet20" not in list_models() and "toy_resnet20" not in dir(kattn.zoo)
    with pytest.raises(AttributeError, match="Unknown model or function 'toy_resnet20'"):
        kattn.zoo.toy_resnet20  # noqa: B018


def test_a_row_is_found_by_its_name_before_the_tables_are_loaded(attention, monkeypatch):
    """As in the process of `kattn list`, where a new row stands in the source and models.csv has not been written."""
    monkeypatch.delitem(sys.modules, "kattn.zoo.tables")
    assert list_models("toy_resnet2?") == ["toy_resnet20"]
