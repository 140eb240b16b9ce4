"""Attention of a user's own in the zoo: as an argument, under a name, with others, in files."""

import functools
import subprocess
import sys

import keras
import pytest
from support.models import largest_difference, layers_of, pixels, randomise

import kattn
from kattn.insertion import insert
from kattn.zoo import Attention, create, info, list_models, register, save_weights
from kattn.zoo.attentions import named
from kattn.zoo.weights.saving import built_with

SHORT = {"input_shape": (8, 8, 3), "depths": (1, 1, 1)}
X = pixels((2, 8, 8, 3))


@keras.saving.register_keras_serializable("own_tests")
class MyGate(keras.Layer):
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


class Nameless(keras.Layer):
    """Takes no name and is not registered."""

    def __init__(self):
        super().__init__()

    def call(self, x):
        return -x


@keras.saving.register_keras_serializable("own_tests")
class Looking(keras.Layer):
    """A gate of positions, given on request."""

    def __init__(self, return_attention=False, **kwargs):
        super().__init__(**kwargs)
        self.return_attention = return_attention

    def call(self, x):
        gate = keras.ops.sigmoid(keras.ops.mean(x, axis=-1, keepdims=True))
        return (x * gate, gate) if self.return_attention else x * gate

    def get_config(self):
        return {**super().get_config(), "return_attention": self.return_attention}


@pytest.fixture
def mygate():
    register("mygate", MyGate)
    yield "mygate"
    del named.REGISTERED["mygate"]


@pytest.mark.parametrize(
    ("given", "kind", "factor"),
    [
        (MyGate, "MyGate", 1.0),
        (lambda name: MyGate(2.0, name=name), "MyGate", 2.0),
        (lambda: MyGate(3.0), "MyGate", 3.0),
        (MyGate(4.0), "MyGate", 4.0),
        (functools.partial(MyGate, factor=5.0), "MyGate", 5.0),
        (Attention(residual=MyGate), "MyGate", 1.0),
        (Nameless, "Nameless", None),
    ],
)
def test_a_layer_stands_in_every_block_however_it_is_given(given, kind, factor):
    model = kattn.zoo.resnet20(attention=given, **SHORT)
    names = layers_of(model, kind)
    assert len(names) == 3 and all(name.startswith(f"stage{i}_block1_") for i, name in enumerate(names, start=1))
    if factor is not None:
        assert {model.get_layer(name).factor for name in names} == {factor}


def test_its_options_are_those_of_the_model():
    model = create("resnet20", attention=MyGate, factor=0.5, stages=(2,), position="shortcut", **SHORT)
    assert (
        layers_of(model, "MyGate") == ["stage2_block1_my_gate"]
        and model.get_layer("stage2_block1_my_gate").factor == 0.5
    )
    assert model.name == "my_gate_resnet20"
    with pytest.raises(TypeError, match=r"my_gate_resnet20 has no option ratio. Options of this model: depths, factor"):
        create("resnet20", attention=MyGate, ratio=2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "attention is a layer class, a function of name"),
        (int, "attention is a layer class"),
        ("sexy", "Unknown attention 'sexy'. Closest: se"),
        (lambda: keras.layers.Conv2D(3, 1), r"<lambda> cannot stand at stage1_block1_attention.*\(None, 8, 8, 3\)"),
        (("sk", "splat"), "sk and splat cannot stand in one network: both take the place of spatial_conv"),
        (("afi", "sk"), r"no place for the attention \(spatial_conv\)"),
    ],
)
def test_what_cannot_stand_in_a_network_is_refused_with_the_reason(given, message):
    with pytest.raises(ValueError, match=message):
        create("resnet20", attention=given, **SHORT)


def test_an_option_that_every_model_has_is_refused():
    class Clash(MyGate):
        def __init__(self, mean=0, **kwargs):
            super().__init__(**kwargs)

    with pytest.raises(ValueError, match=r"mean is an option of every model, and of the attention too"):
        create("resnet20", attention=Clash)


def test_a_name_of_its_own_is_listed_described_and_combined(mygate):
    assert {"mygate_resnet20", "mygate_mobilenet_v2"} <= set(list_models("mygate_*"))
    plain = info("resnet20")
    assert info("mygate_resnet20").parameters == plain.parameters + 3 * (16 + 32 + 64)
    assert 'start="identity": weights cifar10' in str(info("mygate_resnet20"))
    assert create("mygate_resnet20", factor=2.0, **SHORT).get_layer("stage1_block1_my_gate").factor == 2.0
    assert layers_of(create("afi_mygate_resnet20", input_shape=(8, 8, 3), depths=(1, 2, 1)), "MyGate") == [
        "stage2_block2_my_gate"
    ]
    assert create("resnet20", attention=MyGate, **SHORT).name == "mygate_resnet20"


@pytest.mark.parametrize(("name", "given"), [("se", MyGate), ("resnet20", MyGate), ("My", MyGate), ("abn_se", MyGate)])
def test_names_that_are_taken_are_refused(name, given):
    with pytest.raises(ValueError, match=r"name of a mechanism or backbone|lower case"):
        register(name, given)


def gates(attention, backbone="resnet20"):
    return info(f"{attention}_{backbone}").parameters - info(backbone).parameters


@pytest.mark.parametrize("names", [("bam", "se"), pytest.param(("nl", "bam", "gc"), marks=pytest.mark.slow)])
def test_the_parameters_of_a_combination_add_up(names):
    name = "_".join((*names, "resnet20"))
    assert info(name).parameters == info("resnet20").parameters + sum(map(gates, names))
    assert info(name).attention == "_".join(sorted(names)) and len(info(name).papers) == 1 + len(names)


def test_where_two_stand_at_one_site_their_order_must_be_said():
    with pytest.raises(ValueError, match=r'se and cbam both stand at residual.*attention=\("se", "cbam"\)'):
        create("se_cbam_resnet20")
    model = create("resnet20", attention=("se", "cbam"), **SHORT)
    first, second = (model.get_layer(f"stage1_block1_{name}") for name in ("squeeze_excite", "cbam"))
    assert second.input is first.output
    other = create("resnet20", attention=("cbam", "se"), **SHORT)
    assert other.count_params() == model.count_params() and other.name == "cbam_se_resnet20"


def test_combinations_at_several_sites_are_one_network_in_any_order(tmp_path):
    one, other = (create(f"{name}_resnet20", **SHORT) for name in ("abn_se", "se_abn"))
    assert one.name == other.name == "abn_se_resnet20" and one.count_params() == other.count_params()
    path = save_weights(one, tmp_path / "one.weights.h5")
    assert largest_difference(create("se_abn_resnet20", weights=path, input_shape=(8, 8, 3))(X), one(X)) == 0


def test_options_with_several_defaults_are_each_attentions_own(tmp_path):
    """AFI's reduction is 4, SE's 16: a file must not give one's to the other."""
    model = create("afi_se_resnet20", input_shape=(8, 8, 3), depths=(1, 2, 1), widths=(16, 64, 64))
    path = save_weights(model, tmp_path / "afi_se.weights.h5")
    assert largest_difference(create("afi_se_resnet20", weights=path, input_shape=(8, 8, 3))(X), model(X)) == 0


def test_weights_record_it_and_build_it_again(tmp_path):
    model = create("resnet20", attention=("bam", MyGate), factor=0.5, **SHORT)
    randomise(model)
    path = save_weights(model, tmp_path / "own.weights.h5")
    assert built_with(model)["own_attention"] == ("bam", "residual=own_tests>MyGate")
    for again in (create("resnet20", weights=path), create("resnet20", attention=("bam", MyGate), weights=path)):
        assert again.get_layer("stage1_block1_my_gate").factor == 0.5
        assert (
            largest_difference(again(pixels((2, 32, 32, 3))), create("resnet20", weights=path)(pixels((2, 32, 32, 3))))
            == 0
        )
    for other in ("se", None):
        with pytest.raises(ValueError, match=r"own_tests>MyGate|do not belong"):
            create("se_resnet20" if other is None else "resnet20", attention=other, weights=path)
    model.save(tmp_path / "own.keras")
    assert largest_difference(keras.saving.load_model(tmp_path / "own.keras")(X), model(X)) == 0


def test_a_name_and_its_class_are_one_network(mygate, tmp_path):
    path = save_weights(create("mygate_resnet20", **SHORT), tmp_path / "own.weights.h5")
    assert create("resnet20", attention=MyGate, weights=path).name == create("resnet20", weights=path).name
    with pytest.raises(ValueError, match=r"attention residual=own_tests>MyGate. Received: attention residual="):
        create("resnet20", attention=Nameless, weights=path)


@pytest.mark.slow
def test_weights_of_a_class_that_is_not_there_say_so_in_another_process(tmp_path):
    paths = [
        save_weights(create("resnet20", attention=given, **SHORT), tmp_path / f"{i}.weights.h5")
        for i, given in enumerate([MyGate, Attention(residual=lambda name: MyGate(name=name))])
    ]
    code = (
        "import sys, kattn\n"
        "for path in sys.argv[1:]:\n"
        "    try: kattn.zoo.create('resnet20', weights=path)\n"
        "    except ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, check=True)
    first, second = done.stdout.strip().splitlines()
    assert "residual=own_tests>MyGate; own_tests>MyGate is not registered in this process. Import the file" in first
    assert "<lambda>() is not registered" in second and "give attention= as it was built with" in second


@pytest.mark.parametrize("given", [MyGate(2.0), lambda: MyGate(2.0), MyGate, lambda name: MyGate(name=name)])
def test_insert_takes_what_the_zoo_takes(given):
    model = insert(create("resnet20", **SHORT), given, start="paper")
    assert len(layers_of(model, "MyGate")) == 3


def test_weights_without_the_gate_are_not_taken_for_a_gate_without_weights(tmp_path):
    path = save_weights(create("resnet20", **SHORT), tmp_path / "plain.weights.h5")
    with pytest.raises(
        ValueError, match=r'(?s)no attention but what its name says.*Weights of resnet20 go into .*start="identity"'
    ):
        create("resnet20", attention=Nameless, weights=path)


def test_explanations_show_its_attention_and_certificates_name_it(tmp_path):
    from kattn import explain, export

    model = create("resnet20", attention=Looking, **SHORT)
    assert explain.attention(model, X)["stage1_block1_looking"].shape == (2, 8, 8)
    report = export.onnx(model, tmp_path / "own.onnx")
    assert report.model == "looking_resnet20" and report.blocks == {"own_tests>Looking": 3}
    assert "of looking_resnet20: 3 own_tests>Looking" in str(report)
