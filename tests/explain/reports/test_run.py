"""The report of a run is one file that a browser shows without any other, and the command line draws what it says."""

import json
import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from support.models import randomise

import kattn.layers as kl
from kattn.cli.main import main
from kattn.data.loading import load
from kattn.evaluation.evaluation import measure
from kattn.explain import report
from kattn.explain.reports.sections import chosen_images
from kattn.runs.folder import BEST, CONFIG, METRICS, MODEL, RunError, RunFolder

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


def network():
    x = keras.Input((16, 16, 3), name="image")
    y = layers.Conv2D(8, 3, activation="relu", name="first")(layers.Rescaling(1 / 255)(x))
    y = kl.CBAM(reduction=2, name="cbam")(y)
    y = layers.Conv2D(8, 3, strides=2, activation="relu", name="last")(y)
    y = layers.Dense(10, name="logits")(layers.GlobalAveragePooling2D()(y))
    model = keras.Model(x, layers.Activation("softmax")(y), name="small")
    randomise(model)
    return model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder as training leaves it, of an untrained network."""
    path = tmp_path_factory.mktemp("run")
    model, digits = network(), load("digits", limit=60)
    folder = RunFolder(path)
    settings = {"image_size": None, "validation": 0.1, "split_seed": 0, "data_dir": None}
    folder.write_json(
        CONFIG,
        {
            "model": "small <b>",
            "options": {"reduction": 2},
            "seed": 3,
            "recipe": {"name": "quick", "epochs": 2, "select": "best"},
            "data": {"spec": "digits", "settings": settings, **digits.describe()},
        },
    )
    (path / MODEL).write_text(model.to_json())
    folder.write_weights(BEST, model)
    folder.write_history([{"epoch": i, "loss": 2.0 / i, "accuracy": 0.4 * i, "val_loss": 1.0} for i in (1, 2)])
    scores = model.predict(digits.test.images.astype("float32"), verbose=0)
    folder.write_json(METRICS, measure(scores, digits.test.labels, digits.class_names).to_dict())
    certificate = {"format": "onnx", "precision": "float32", "bytes": 1234567, "max_abs_diff": 5e-7}
    folder.write_json("m.onnx.json", {**certificate, "top1_agreement": None, "sha256": "ab" * 32, "ops": {}})
    return path


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "deep" / "report.html"
    assert report(run, out, images=3, statistics_images=40) == out
    return out


def test_the_report_holds_everything_and_asks_for_nothing(page):
    text = page.read_text()
    parts = re.findall(r"<h2>(.*?)</h2>", text)
    assert parts == [
        "Run",
        "Training",
        "Confusion",
        "What it looks at",
        "How faithful the maps are",
        "Gates",
        "Class selectivity",
        "Export certificates",
    ]
    assert "small &lt;b&gt; on digits" in text and "<b>" not in text
    assert "1,234,567" in text and "not checked" in text and "5.0e-07" in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", text) and "<script" not in text
    assert len(re.findall(r"<img src=\"data:", text)) == 6
    assert len(re.findall(r"alt=\"[^\"]+\"", text)) == 6


def browse(*options):
    """Chromium without a window; gives its output and its messages."""
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *quiet, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return done.stdout, done.stderr


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_a_browser_shows_the_report(page, tmp_path):
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    picture = tmp_path / "seen.png"
    _, said = browse(
        profile, "--window-size=1000,3000", "--enable-logging=stderr", f"--screenshot={picture}", page.as_uri()
    )
    assert "Content Security Policy" not in said and "Refused" not in said
    with Image.open(picture) as file:
        seen = np.asarray(file.convert("RGB"))
    assert seen.shape[:2] == (3000, 1000)
    thirds = np.array_split(seen, 3)
    assert all(len(np.unique(part.reshape(-1, 3), axis=0)) > 100 for part in thirds)  # text and pictures all the way
    # A copy that may run a script tells what became of its pictures.
    probe = (
        "<script>addEventListener('load', () => { const p = document.createElement('pre'); p.id = 'probe';"
        "p.textContent = JSON.stringify({broken: [...document.images].filter(i => !i.naturalWidth).length,"
        "images: document.images.length, wide: document.documentElement.scrollWidth > innerWidth,"
        "asked: performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))});"
        "document.body.append(p); });</script></body>"
    )
    copy = tmp_path / "copy.html"
    text = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", page.read_text())
    copy.write_text(text.replace("</body>", probe))
    tree, _ = browse(profile, "--window-size=600,800", "--dump-dom", copy.as_uri())
    found = json.loads(re.search(r"<pre id=\"probe\">(.*?)</pre>", tree)[1])
    assert found == {"broken": 0, "images": 6, "wide": False, "asked": []}


def test_wrong_images_come_first_then_one_of_each_class():
    labels, predicted = [0, 0, 1, 1, 2, 2, 2], [0, 0, 1, 0, 2, 1, 2]
    assert chosen_images(predicted, labels, 6) == [3, 5, 0, 2, 4, 1]
    assert chosen_images(predicted, labels, 2) == [3, 0]
    assert chosen_images(labels, labels, 4) == [0, 2, 4, 1]
    assert chosen_images([1, 0], [0, 1], 2) == [0, 1]


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="no finished run"):
        report(tmp_path)
    with pytest.raises(ValueError, match="at least 1"):
        report(tmp_path, images=0)


def test_the_command_draws_overlays_and_a_sheet(run, tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype("uint8")
    Image.fromarray(image).save(photos / "one.png")
    Image.fromarray(image).convert("CMYK").save(photos / "two.jpg")
    (photos / "broken.jpg").write_text("no image")
    keras_file = tmp_path / "other.keras"
    network().save(keras_file)
    asked = ["--method", "grad_cam", "attention", "--class", "3", "--out", str(out), "--format", "svg", "--debug"]
    assert main(["explain", str(run), str(photos), "--beside", str(keras_file), *asked]) == 0
    files = [line.rsplit("/", 1)[-1] for line in capsys.readouterr().out.split()]
    assert files[0] == "sheet.svg" and len(files) == 1 + 2 * 2 * 2
    assert all((out / name).exists() for name in files)
    with Image.open(out / files[1]) as drawn:
        assert drawn.size == (60, 40)
    assert any("other_cbam" in name for name in files)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}"], "name image files"),
        (["{run}", "{run}/nothing.png"], "no file or folder"),
        (["{run}", "{run}"], "holds no images"),
        (["{run}", "{run}", "--report"], "leave the images out"),
        (["{run}/none", "--report"], "no finished run"),
        (["{run}/config.json", "a.png"], "neither the folder of a finished run"),
        (["resnet21", "a.png"], "resnet20"),
    ],
)
def test_an_error_of_the_command_is_one_line(run, capsys, arguments, message):
    assert main(["explain", *(part.format(run=run) for part in arguments)]) == 1
    said = capsys.readouterr().err
    assert message in said and len(said.strip().splitlines()) == 1
