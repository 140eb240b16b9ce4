import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import ObjectContext


def test_behaves_as_a_layer_should(check_layer):
    check_layer(ObjectContext(3, scales=(1, 2), return_attention=True), image(2, 4, 5, 4))


def test_takes_maps_of_unknown_size():
    check_free_sizes(ObjectContext(3, scales=(1, 2), return_attention=True), image(2, 4, 5, 4))


def test_contexts_of_the_scales_are_added():
    x = image(2, 6, 4, 4)
    layer = build(ObjectContext(scales=(1, 2), concat=False), x)
    randomise(layer)
    total = sum(run(stage, x)[0] for stage in layer.stages)
    np.testing.assert_allclose(run(layer, x)[0], run(layer.fuse, total.astype("float32"))[0], atol=1e-5)


def test_starts_without_context():
    x = image(2, 6, 4, 4)
    layer = ObjectContext(concat=False)
    assert np.ptp(run(layer, x)[0], axis=(0, 1, 2)).max() == 0


@pytest.mark.parametrize(
    ("channels", "options", "count"),
    [
        (512, {"key_channels": 256, "value_channels": 256}, 920_576),
        (256, {"key_channels": 128, "value_channels": 256, "scales": (2,), "concat": False}, 231_040),
    ],
)
def test_parameters_are_the_published_count(channels, options, count):
    assert parameters(build(ObjectContext(**options), image(1, 2, 2, channels))) == count


@pytest.mark.parametrize("scales", [(), (1, 0)])
def test_bad_scales_are_named(scales):
    with pytest.raises(ValueError, match="scales must be one or more"):
        ObjectContext(scales=scales)
