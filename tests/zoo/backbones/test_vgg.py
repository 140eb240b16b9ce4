"""VGG: SE on each stage's last convolution, and dense layers that fix the input size."""

import numpy as np
import pytest
from support.models import assert_probabilities, inputs_of, layers_of, pixels, trainable

from kattn.zoo import create


def test_se_stands_on_the_last_convolution_of_each_stage():
    model = create("se_vgg16", include_top=False)
    assert layers_of(model, "SqueezeExcite") == [f"stage{i}_block1_squeeze_excite" for i in range(1, 6)]
    assert inputs_of(model, "stage3_block1_squeeze_excite") == ["stage3_conv3_relu"]
    assert trainable(model) == 14_714_688 + 77_852  # torchvision's convolutions, and SE's


def test_an_open_size_is_refused_with_the_top_and_taken_without():
    with pytest.raises(ValueError, match="include_top=False"):
        create("vgg16", input_shape=(None, None, 3))
    model = create("bam_vgg16_bn", include_top=False, pooling="avg", input_shape=(None, None, 3))
    y = np.asarray(model(pixels((1, 40, 33, 3))))
    assert y.shape == (1, 512) and np.isfinite(y).all()


def test_images_too_small_are_refused():
    with pytest.raises(ValueError, match="at least 32x32 pixels"):
        create("vgg16", input_shape=(31, 32, 3))


def test_a_small_image_gives_probabilities():
    assert_probabilities(create("vgg16_bn", input_shape=(32, 32, 3), classes=4), (32, 32))
