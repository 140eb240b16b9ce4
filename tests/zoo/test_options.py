"""What a builder tells of its options."""

import pytest

from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.backbones.table import BACKBONES
from kattn.zoo.grammar.factories import unwrapped
from kattn.zoo.options import argument_doc, docstring_of


def test_every_option_of_every_model_is_told_with_what_it_takes():
    for name, backbone in BACKBONES.items():
        for key in backbone.user_options():
            assert len(argument_doc(unwrapped(backbone.network), key)) > 25, (name, key)
    for name, attention in ATTENTIONS.items():
        layers = [unwrapped(getattr(attention, site)) for site in attention.used_sites()]
        for key in attention.options().keys() - {"stages", "position"}:
            assert any(len(argument_doc(layer, key)) > 15 for layer in layers), (name, key)


@pytest.mark.parametrize(
    ("attention", "backbone", "line"),
    [
        ("se", "resnet50", "depths: Blocks of each stage, one number a stage. Default: (3, 4, 6, 3)."),
        ("se", "resnet50", 'squeeze: "avg" or "max", the pooling over height and width. Default: \'avg\'.'),
        ("none", "mobilenet_v2", "alpha: Factor of all widths, 0.35 to 1.4 in the paper."),
        ("c3", "resnet20", "size: "),
    ],
)
def test_the_docstring_has_them_with_their_defaults(attention, backbone, line):
    text = docstring_of("m", ATTENTIONS[attention], BACKBONES[backbone])
    assert f"    {line}" in text and "Of the backbone." not in text and "Of the mechanism." not in text
    assert max(map(len, text.splitlines())) <= 130


def test_an_argument_is_found_also_beside_another_and_over_several_lines():
    def function():
        """Short.

        Args:
            a, b: Two of them: one text,
                over: two lines.
            c: Another.

        Returns: a: nothing.
        """

    assert argument_doc(function, "b") == "Two of them: one text, over: two lines."
    assert argument_doc(function, "c") == "Another." and argument_doc(function, "d") == ""
