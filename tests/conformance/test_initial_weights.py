"""Weights start with the standard deviations of torchvision's and timm's networks, or of the authors' code."""

import math

import keras
import numpy as np
import pytest
from support.sweeps import swept

from conformance.tables import FILE, TIMM, TORCHVISION
from kattn.zoo.tables import builder

TABLES = np.load(FILE)
QUICK = "mobilenet_v1", "mobilenet_v2", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "vgg16"
NEAR = 0.95, 1.08
DRAWN = 20_000


def kernels(model):
    """(name, sizes in torch's layout, initializer) of every kernel and bias of convolutions and dense layers."""
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.SeparableConv2D):
            height, width, channels, _ = layer.depthwise_kernel.shape
            yield f"{layer.name}.depthwise", (channels, 1, height, width), layer.depthwise_initializer
            _, _, channels, filters = layer.pointwise_kernel.shape
            yield f"{layer.name}.pointwise", (filters, channels, 1, 1), layer.pointwise_initializer
            continue
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            height, width, channels, _ = layer.kernel.shape
            yield layer.name, (channels, 1, height, width), layer.depthwise_initializer
        elif isinstance(layer, keras.layers.Conv2D):
            height, width, channels, filters = layer.kernel.shape
            yield layer.name, (filters, channels, height, width), layer.kernel_initializer
        elif isinstance(layer, keras.layers.Dense):
            yield layer.name, (*layer.kernel.shape[::-1], 0, 0), layer.kernel_initializer
        else:
            continue
        if layer.use_bias:
            yield f"{layer.name}.bias", (layer.bias.shape[-1], 0, 0, 0), layer.bias_initializer


def deviation(initializer):
    """Standard deviation of what an initializer draws; those of the zoo do not look at the shape."""
    return float(np.std(keras.ops.convert_to_numpy(initializer((DRAWN,)))))


def built(name, **options):
    """The model without values: its layers' initializers are what is looked at."""
    with keras.StatelessScope():
        return builder(name)(**options)


def ratios(model, theirs):
    """Of every layer: our standard deviation over theirs, which is found by the sizes; 1 where both are 0."""
    found = {}
    for layer, sizes, start in kernels(model):
        ours, reference = deviation(start), theirs(sizes)
        found[layer] = 1.0 if ours == reference == 0.0 else ours / reference
    return found


def assert_near(found):
    assert len(found) > 10
    assert all(NEAR[0] <= ratio <= NEAR[1] for ratio in found.values()), found


@pytest.mark.parametrize("name", swept((*TORCHVISION, *TIMM), QUICK))
def test_a_network_starts_as_torchvision_s_or_timm_s(name):
    sizes = [tuple(row) for row in TABLES[f"start_{name}_sizes"].tolist()]
    theirs = dict(zip(sizes, TABLES[f"start_{name}"].tolist(), strict=True))
    assert_near(ratios(built(name), theirs.get))


def is_bias(sizes):
    return sizes[1] == 0


def is_dense(sizes):
    return sizes[1] > 0 == sizes[2]


def lua(sizes):
    """n = kW * kH * nOutputPlane; weight:normal(0, sqrt(2 / n)); bias:zero(); linear weights as Lua's torch has them.

    KaimingHe/resnet-1k-layers, szagoruyko/wide-residual-networks, liuzhuang13/DenseNet.
    """
    if is_bias(sizes):
        return 0.0
    return 1 / math.sqrt(3 * sizes[1]) if is_dense(sizes) else math.sqrt(2 / (sizes[0] * sizes[2] * sizes[3]))


def megvii(sizes):
    """normal_(weight, 0, 1 / weight.shape[1]); 0.01 in linear layers and the first convolution; biases 0."""
    if is_bias(sizes):
        return 0.0
    return 0.01 if is_dense(sizes) or sizes[1] == 3 else 1 / sizes[1]


def abn(sizes):
    """kaiming_normal_(mode="fan_out") in all convolutions; the linear layer as torch leaves it."""
    return 1 / math.sqrt(3 * 64) if is_bias(sizes) else lua(sizes)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("abn_resnet20", abn),
        ("wide_resnet16_8", lua),
        ("shufflenet_g2_cifar", megvii),
        pytest.param("densenet40_k12", lua, marks=pytest.mark.slow),
        pytest.param("preact_resnet50", lua, marks=pytest.mark.slow),
        pytest.param("shufflenet_g3", megvii, marks=pytest.mark.slow),
    ],
)
def test_a_network_starts_as_in_its_authors_code(name, code):
    assert_near(ratios(built(name, classes=1000), code))


def test_layers_of_one_size_start_with_numbers_of_their_own():
    model = builder("resnet20")(depths=(2, 1, 1))
    layers = [model.get_layer(f"stage1_block1_conv{i}") for i in (1, 2)]
    first, second = (keras.ops.convert_to_numpy(layer.kernel) for layer in layers)
    assert not np.allclose(first, second)
    assert first.std() == pytest.approx(math.sqrt(2 / 144), rel=0.08)
