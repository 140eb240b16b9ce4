"""kattn.predict: labels and scores of files, by every kind of output, from whatever holds the model."""

import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image

import kattn
from kattn.cli.main import main
from kattn.evaluation.answers import answers

L = keras.layers
SIZE = 8
NAMES = ["cat", "dog", "owl"]


def bright(units, activation, channels=3, **options):
    """A model whose scores are those of the image's mean colour; it takes 0 to 1 and says so."""
    image = keras.Input((SIZE, SIZE, channels))
    x = L.Rescaling(2, -1)(image)
    dense = L.Dense(units, activation, **options)
    model = keras.Model(image, dense(L.GlobalAveragePooling2D()(x)), name="bright")
    dense.set_weights([4 * np.eye(channels, units, dtype="float32"), np.zeros(units, "float32")])
    return model


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name, colour in {"a": (250, 10, 10), "b": (10, 250, 10), "c": (10, 10, 250)}.items():
        Image.new("RGB", (20, 30), colour).save(folder / f"{name}.png")
    (folder / "more").mkdir()
    Image.new("L", (9, 9), 250).save(folder / "more" / "grey.jpg")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_classes_come_with_labels_and_probabilities(photos):
    model = bright(3, "softmax")
    found = kattn.predict(model, photos, labels=NAMES, top=2)
    assert [one.image.rpartition("/")[2] for one in found] == ["a.png", "b.png", "c.png", "grey.jpg"]
    assert [one.label for one in found[:3]] == NAMES and all(len(one.best) == 2 for one in found)
    unit = np.array([[250, 10, 10]]) / np.float32(255)
    expected = model.predict(np.broadcast_to(unit[:, None, None], (1, SIZE, SIZE, 3)), verbose=0)[0]
    np.testing.assert_allclose(found[0].values, expected, atol=1e-5)
    assert str(found[0]).endswith(f"a.png: cat {expected[0]:.1%}, dog {expected[1]:.1%}")


def test_files_folders_patterns_and_arrays(photos):
    model = bright(3, "softmax")
    one = kattn.predict(model, photos / "b.png")
    assert one[0].label == "1"
    several = kattn.predict(model, [photos / "b.png", f"{photos}/[ac].png"], batch_size=2)
    assert [each.label for each in several] == ["1", "0", "2"]
    array = np.stack([np.asarray(Image.open(photos / f"{name}.png").resize((SIZE, SIZE))) for name in "abc"])
    for images in (array, array / np.float32(255)):
        assert [each.label for each in kattn.predict(model, images)] == ["0", "1", "2"]
    with pytest.raises(ValueError, match=r"broken\.png is no readable image"):
        kattn.predict(model, photos, on_error="raise")
    with pytest.raises(ValueError, match="no file or folder"):
        kattn.predict(model, f"{photos}/*.gif")
    with pytest.raises(ValueError, match="none of the 1 files is a readable image"):
        kattn.predict(model, photos / "broken.png")


def test_a_model_whose_range_is_unknown_is_not_guessed(photos):
    image = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(image, L.Dense(2, "softmax")(L.Flatten()(image)), name="mine")
    with pytest.raises(ValueError, match=r"which values mine takes .*value_range="):
        kattn.predict(model, photos)
    assert len(kattn.predict(model, photos, value_range=(-1, 1))) == 4


@pytest.mark.parametrize(
    ("outputs", "kind", "labels", "activated", "best"),
    [
        ([[0.1, 0.7, 0.2]], "classes", NAMES, True, [("dog", 0.7), ("owl", 0.2)]),
        ([[0.0, np.log(3), 0.0]], "classes", NAMES, False, [("dog", 0.6), ("cat", 0.2)]),
        ([[-1.0, 0.0, -2.0]], "classes", NAMES, True, [("dog", 0.665), ("cat", 0.245)]),
        ([[0.8]], "binary", None, True, [("yes", 0.8), ("no", 0.2)]),
        ([[0.2]], "binary", NAMES[:2], True, [("cat", 0.8), ("dog", 0.2)]),
        ([[0.0]], "binary", NAMES[:2], False, [("cat", 0.5), ("dog", 0.5)]),
        ([0.8], "binary", NAMES[:2], True, [("dog", 0.8), ("cat", 0.2)]),
        ([[0.9, 0.1, 0.6]], "attributes", NAMES, True, [("cat", 0.9), ("owl", 0.6)]),
        ([[[[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]]], "map", NAMES[:2], True, [("cat", 0.75), ("dog", 0.25)]),
        ([[[[0.9], [0.1], [0.2], [0.3]]]], "map", None, True, [("no", 0.75), ("yes", 0.25)]),
        ([2], "integers", NAMES, None, [("owl", None)]),
        ([2], "integers", None, None, []),
        ([[1.5, -2.0]], "values", None, None, []),
        ([[0.6, 0.8]], "embedding", None, None, []),
    ],
)
def test_every_kind_is_told_in_its_way(outputs, kind, labels, activated, best):
    (found,) = answers(np.array(outputs), ["a.png"], kind=kind, labels=labels, activated=activated, top=2)
    assert [label for label, _ in found.best] == [label for label, _ in best]
    for (_, score), (_, wanted) in zip(found.best, best, strict=True):
        assert score == wanted if wanted is None else score == pytest.approx(wanted, abs=2e-3)
    assert str(found).startswith("a.png: ") and json.dumps(found.to_dict())


def test_scores_are_probabilities_after_an_export_too(photos, tmp_path):
    model = bright(3, None, name="logits")
    expected = [one.best for one in kattn.predict(model, photos, labels=NAMES)]
    kattn.export.onnx(model, tmp_path / "m.onnx", labels=NAMES)
    for opened in (tmp_path / "m.onnx", kattn.export.load(tmp_path / "m.onnx")):
        found = [one.best for one in kattn.predict(opened, photos)]
        assert [[label for label, _ in best] for best in found] == [[label for label, _ in best] for best in expected]
        assert found[0][0][1] == pytest.approx(expected[0][0][1], abs=1e-4) and found[0][0][1] < 1


def test_the_command_prints_lines_json_or_a_table(photos, tmp_path, capsys):
    bright(3, "softmax").save(tmp_path / "m.keras")
    (tmp_path / "labels.txt").write_text("\n".join(NAMES))
    words = ["predict", str(tmp_path / "m.keras"), str(photos), "--top", "1", "--labels", str(tmp_path / "labels.txt")]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[1].rpartition("/")[2].startswith("b.png: dog ")
    assert main([*words, "--json"]) == 0
    assert [row["top"][0]["label"] for row in json.loads(capsys.readouterr().out)][:3] == NAMES
    assert main([*words, "--csv", str(tmp_path / "p.csv")]) == 0
    with open(tmp_path / "p.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows][:3] == NAMES and {row["rank"] for row in rows} == {"1"}
    capsys.readouterr()
    assert main(["predict", "resnet20", str(photos)]) == 1
    assert "resnet20 has random weights: give --weights (cifar10" in capsys.readouterr().err
    assert main(["predict", "resnet20", str(photos), "--weights", "cifar10", "--top", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_range_that_begins_with_a_minus_is_read(photos, tmp_path, capsys):
    image = keras.Input((SIZE, SIZE, 3))
    keras.Model(image, L.Dense(2, "softmax")(L.Flatten()(image))).save(tmp_path / "m.keras")
    words = ["predict", str(tmp_path / "m.keras"), str(photos)]
    assert main(words) == 1
    assert "--value-range 0,255, --value-range 0,1 or --value-range -1,1" in capsys.readouterr().err
    assert main([*words, "--value-range", "-1,1", "--resize", "pad"]) == 0
    assert main(["describe", str(tmp_path / "m.keras"), "--value-range", "-1,1", "--labels", "a,b"]) == 0
    assert "-1, 1  [stated]" in capsys.readouterr().out
