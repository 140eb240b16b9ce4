"""The models of a comparison, as they may be given, and the command that repeats one."""

import dataclasses

import pytest
from support.comparing import made_up_plan
from support.training import tiny_model

from kattn.comparison.comparing import compare
from kattn.comparison.entries import entries_of, parse
from kattn.comparison.repeating import command


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("se_resnet20", {}),
        ("se_resnet20:reduction=8", {"reduction": 8}),
        ("se_resnet20:stages=(2, 3),position=inner,x=None", {"stages": (2, 3), "position": "inner", "x": None}),
        ("se_resnet20:weights=/some/where.weights.h5", {"weights": "/some/where.weights.h5"}),
    ],
)
def test_options_stand_behind_a_name(text, options):
    assert parse(text) == ("se_resnet20", options)


@pytest.mark.parametrize("text", ["se_resnet20:reduction", "se_resnet20:8", "se_resnet20:=8"])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="Options are name:option=value"):
        parse(text)


def test_names_share_options_and_weights_where_they_have_none_of_their_own():
    models = ["resnet20", ("se_resnet20", {"widths": (4, 4, 8)}), "cbam_resnet20:weights=mine.h5"]
    plain, se, cbam = entries_of(models, {"widths": (8, 8, 16)}, "cifar10")[0]
    assert plain.options == {"widths": [8, 8, 16], "weights": "cifar10"} and plain.label == "resnet20"
    assert se.options == {"widths": [4, 4, 8], "weights": "cifar10"} and se.label == "se_resnet20 (widths=(4, 4, 8))"
    assert cbam.options["weights"] == "mine.h5" and cbam.slug == "cbam_resnet20_weights_mine.h5"


def test_a_functional_model_and_its_file_are_one_model(tmp_path):
    model = tiny_model(classes=3)
    (entry,), given = entries_of([model], None, None)
    assert given[entry.label] is model and entry.model == f"models/{entry.label}.keras" and entry.digest
    model.save(tmp_path / f"{entry.label}.keras")
    assert entries_of([str(tmp_path / f"{entry.label}.keras")], None, None)[0] == [entry]
    model.set_weights([value + 1 for value in model.get_weights()])
    assert entries_of([model], None, None)[0][0].digest != entry.digest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": "resnet20"}, "models is a list"),
        ({"models": []}, "models is a list"),
        ({"models": ["resnet20", "resnet20"]}, "Twice: resnet20"),
        ({"models": [7]}, r"functional Keras model\. Received: int"),
        ({"seeds": 0}, "seeds is a number of at least 1"),
        ({"seeds": [1, 1]}, "seeds is a number of at least 1"),
        ({"confidence": 95}, "share between 0 and 1"),
        ({"export": ["tflight"]}, "Closest: tflite"),
        ({"export": ["tflite:int9"]}, "precision must be one of"),
        ({"workers": 0}, "workers is a whole number"),
        ({"workers": 2, "cluster": "tcp://x"}, "give one of the two"),
        ({"workers": 2, "data": ([], [])}, "data must be a name or a path"),
        ({"models": ["resnet20", "se_resnet21"]}, "se_resnet20"),
        ({"models": ["resnet20", "se_resnet20:reductoin=8"]}, "not every model fits. .*no option reductoin"),
        ({"recipe": "quik"}, "Closest: quick"),
    ],
)
def test_a_mistake_is_one_clear_error_and_nothing_is_written(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        compare(**{"models": ["resnet20"], "verbose": False, "limit": 16, **options})
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_differs_from_the_recipe_and_the_usual(tmp_path):
    plan = made_up_plan(tmp_path, {"resnet20": [0.9], "se_resnet20": [0.9]})
    assert command(plan.settings) == "kattn compare resnet20 se_resnet20 --data digits --recipe quick --seeds 0"
    entries, _ = entries_of(["resnet20", "se_resnet20:reduction=8"], {"widths": (8, 8, 16)}, "cifar10")
    settings = dataclasses.replace(
        plan.settings,
        models=[vars(entry) for entry in entries],
        fields={**plan.settings.fields, "epochs": 2, "warmup_epochs": 0.5, "clip_norm": 1.0},
        reading={"limit": 64, "validation": 0.2, "labels": ["a", "b"]},
        precision="mixed_bfloat16",
        export=["onnx:float32"],
    )
    assert command(settings) == (
        "kattn compare resnet20 se_resnet20:reduction=8 --set 'widths=[8, 8, 16]' --weights cifar10 --data digits "
        "--recipe quick --epochs 2 --set recipe.clip_norm=1.0 --seeds 0 --validation 0.2 --limit 64 --labels a,b "
        "--precision mixed_bfloat16 --export onnx:float32"
    )
