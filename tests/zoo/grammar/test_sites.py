"""Attention: its sites, what a user can set, and where it stands."""

import dataclasses
import functools

import keras
import pytest

from kattn.layers.cbam import CBAM
from kattn.layers.multi_head_self_attention import MultiHeadSelfAttention2D
from kattn.layers.selective_kernel import SelectiveKernel
from kattn.layers.squeeze_excite import SqueezeExcite
from kattn.zoo import create
from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.backbones.table import BACKBONES
from kattn.zoo.grammar.assembly import Head
from kattn.zoo.grammar.factories import as_bare_conv, as_conv, factory_options, layer_name
from kattn.zoo.grammar.placing import Sites
from kattn.zoo.grammar.sites import Attention, only_stages

SE = Attention(residual=SqueezeExcite)


def test_the_plain_network_uses_no_site_and_changes_no_tensor():
    assert Attention().used_sites() == () and Attention().options() == {}
    sites = Sites(Attention(), 2)
    x = keras.Input((4, 4, 8))
    at = sites.stage(1).block(1)
    for site in (at.input, at.inner, at.residual, at.shortcut, at.output, at.stage.stage_input):
        assert site(x) is x
    assert sites.between_stages(x, 1) is x and not sites.placed


def test_options_are_those_of_all_factories_with_the_defaults_that_a_partial_sets():
    both = Attention(residual=functools.partial(SqueezeExcite, reduction=4), output=CBAM)
    options = both.options()
    assert options["reduction"].default == 4 and {"kernel_size", "squeeze", "stages"} <= options.keys()
    assert "position" not in options  # which of the two would it move?
    assert factory_options(functools.partial(SqueezeExcite, reduction=2))[0].default == 2


def test_no_option_lets_a_layer_return_its_attention():
    for attention in ATTENTIONS.values():
        assert "return_attention" not in attention.options()


def test_an_option_goes_to_its_factory_and_a_position_moves_it():
    bound = SE.bind(reduction=2, position="output", stages=(2,))
    assert bound.used_sites() == ("output",)
    sites = Sites(bound, 2)
    x = keras.Input((4, 4, 8))
    assert sites.stage(1).block(1).output(x) is x and not sites.placed
    y = sites.stage(2).block(1).output(x)
    gate = y._keras_history.operation
    assert (gate.name, gate.reduction) == ("stage2_block1_squeeze_excite", 2) and sites.placed


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ratio": 2}, TypeError, r"Unknown option ratio\. Options: .*excitation, position, reduction"),
        ({"position": "head"}, ValueError, "position must be one of input, inner"),
    ],
)
def test_what_it_does_not_have_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        SE.bind(**options)


@pytest.mark.parametrize("stages", [(), (0,), (4,), ("1",)])
def test_stages_must_exist(stages):
    with pytest.raises(ValueError, match=r"stages must name some of 1\.\.3"):
        only_stages(stages)(1, 3)


def test_a_rule_of_blocks_may_differ_from_stage_to_stage():
    """Beside the rules of stages and of blocks, which still hold."""
    early = Attention(residual=SqueezeExcite, blocks_of_stages=lambda block, blocks, stage, stages: block <= stage)
    x = keras.Input((4, 4, 8))
    for attention, wanted in ((early, {(1, 1), (2, 1), (2, 2)}), (early.bind(stages=2), {(2, 1), (2, 2)})):
        sites = Sites(attention, 2)
        places = [(stage, block) for stage in (1, 2) for block in (1, 2, 3)]
        assert {(s, b) for s, b in places if sites.stage(s, 3).block(b).residual(x) is not x} == wanted


def test_layers_are_named_after_their_class():
    assert layer_name(functools.partial(CBAM, reduction=2)) == "cbam"
    assert layer_name(as_conv(SelectiveKernel)) == "selective_kernel"


def shapes_of_gates(attention, backbone="resnet20", **options):
    """(name, channels) of the layers that stand at the attention's site."""
    found = []

    def gate(name):
        def apply(x):
            found.append((name.removesuffix("_gate"), x.shape[-1]))
            return x

        return apply

    row = BACKBONES[backbone]
    sites = Sites(dataclasses.replace(attention, **dict.fromkeys(attention.used_sites(), gate)), row.stages)
    with sites.at_convolutions():
        row.network(keras.Input((32, 32, 3)), sites, Head(10), **options)
    return dict(found)


def test_the_widest_place_is_the_end_of_a_branch_but_inside_an_inverted_residual():
    bottlenecks = shapes_of_gates(Attention(widest=SqueezeExcite), "resnet50", depths=(1, 1, 1, 1))
    assert bottlenecks == {f"stage{i}_block1": 256 * 2 ** (i - 1) for i in (1, 2, 3, 4)}
    inverted = shapes_of_gates(Attention(widest=SqueezeExcite), "mobilenet_v2")
    assert len(inverted) == 17 and inverted["stage2_block1"] == 6 * 16 and inverted["stage5_block4"] == 6 * 160


def test_before_the_norm_is_behind_the_last_3x3_convolution():
    site = Attention(before_norm=SqueezeExcite)
    assert shapes_of_gates(site, depths=(1, 1, 1)) == {"stage1_block1": 16, "stage2_block1": 32, "stage3_block1": 64}
    assert shapes_of_gates(site, "resnet50", depths=(1, 1, 1, 1))["stage4_block1"] == 512
    model = create("simam_resnet20", input_shape=(8, 8, 3), depths=(1, 1, 1))
    gate = model.get_layer("stage1_block1_sim_am")
    assert gate.input._keras_history.operation.name == "stage1_block1_conv2"
    assert gate.output._keras_history.operation._outbound_nodes[0].operation.name == "stage1_block1_conv2_bn"
    assert "preact_resnet18" not in {name for name, row in BACKBONES.items() if not row.missing(site)}


def test_every_convolution_has_an_input():
    found = shapes_of_gates(Attention(conv_input=SqueezeExcite), depths=(1, 1, 1))
    assert found.pop("stem_conv") == 3
    assert found == {
        **{f"stage{i}_block1_conv1": channels for i, channels in enumerate((16, 16, 32), 1)},
        **{f"stage{i}_block1_conv2": 16 * 2 ** (i - 1) for i in (1, 2, 3)},
        "stage2_block1_shortcut": 16,
        "stage3_block1_shortcut": 32,
    }
    assert "stages" not in Attention(conv_input=SqueezeExcite).options()


@pytest.mark.parametrize(("norm", "followed"), [(True, ["bn", "relu"]), (False, [])])
def test_a_bare_convolution_is_normalised_where_the_block_does_not_do_it_later(norm, followed):
    sites = Sites(Attention(spatial_conv=as_bare_conv(MultiHeadSelfAttention2D)), 1)
    x = keras.Input((4, 4, 8))
    y = sites.stage(1).block(1).spatial_conv(x, 12, 3, 2, groups=2, norm=norm)
    _, attention, *behind = keras.Model(x, y).layers
    assert isinstance(attention, MultiHeadSelfAttention2D) and sites.placed
    assert [layer.name.rpartition("_")[2] for layer in behind] == followed and tuple(y.shape[1:]) == (2, 2, 12)
