"""Inception-ResNet-v2: its residual blocks take the mechanisms."""

import pytest
from support.models import assert_probabilities, layers_of

from kattn.zoo import create


@pytest.mark.slow
def test_se_stands_in_the_forty_residual_blocks_and_the_smallest_image_passes():
    model = create("se_inception_resnet_v2", input_shape=(75, 75, 3), classes=4)
    assert len(layers_of(model, "SqueezeExcite")) == 40
    assert_probabilities(model, (75, 75))


@pytest.mark.slow
def test_afi_runs_in_every_branch_of_its_own():
    model = create("afi_se_inception_resnet_v2", input_shape=(75, 75, 3))
    for branch, width in ((1, 96), (2, 64)):
        maps = model.get_layer(f"stage3_block20_branch{branch}_conv1_integrate").input
        assert len(maps) == 20 and {x.shape[-1] for x in maps} == {width}
        assert model.get_layer(f"stage3_block20_branch{branch}_squeeze_excite").output.shape[-1] == width


@pytest.mark.slow
def test_abn_copies_the_last_stage_at_the_size_of_its_input():
    model = create("abn_inception_resnet_v2", input_shape=(107, 107, 3), attention_map=True)
    assert tuple(model.output["attention_map"].shape[1:3]) == tuple(model.get_layer("C4").output.shape[1:3])


def test_images_too_small_are_refused():
    with pytest.raises(ValueError, match="at least 75x75 pixels"):
        create("inception_resnet_v2", input_shape=(74, 299, 3))
