"""The way back to other collections: their names, and how their tensors lie."""

import numpy as np
import pytest
from support.checkpoints import network

import kattn
from kattn.zoo.weights.files.state_dict import to_state_dict


def test_names_and_layouts_are_the_other_collections():
    state = to_state_dict(network(shortcut="A"), "authors.cifar_resnet")
    assert state["layer2.0.conv1.weight"].shape == (32, 16, 3, 3)
    assert state["linear.weight"].shape == (7, 64)
    assert "bn1.running_var" in state and not any("downsample" in key for key in state)


def test_a_network_without_names_elsewhere_says_so():
    with pytest.raises(ValueError, match=r"no names for these layers of afi_resnet20: .*integrate"):
        to_state_dict(kattn.zoo.afi_resnet20(depths=(2, 1, 1)))
    with pytest.raises(ValueError, match=r"Unknown dialect of torch 'tim'\. Closest: timm\."):
        to_state_dict(network(), "tim")


def test_timm_takes_the_mean_before_the_maximum_in_cbam():
    model = network("cbam_resnet20")
    ours = model.get_layer("stage1_block1_cbam").spatial_conv.get_weights()[0]
    theirs = to_state_dict(model, "timm")["layer1.0.se.spatial.conv.conv.weight"]
    np.testing.assert_array_equal(theirs[0, 0], ours[:, :, 1, 0])
    np.testing.assert_array_equal(theirs[0, 1], ours[:, :, 0, 0])


def test_split_attention_of_two_groups_takes_their_order():
    """Theirs lies by group, then by split; ours has one convolution a split."""
    model = network("splat_resnet20")
    theirs = to_state_dict(model, "timm")["layer1.0.conv1.fc2.weight"]
    splits = model.get_layer("stage1_block1_conv1_split_attention").select
    np.testing.assert_array_equal(theirs[:16, :, 0, 0], splits[0].get_weights()[0][0, 0].T)
    np.testing.assert_array_equal(theirs[16:, :, 0, 0], splits[1].get_weights()[0][0, 0].T)
