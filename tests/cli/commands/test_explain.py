"""`kattn explain` opens what the other commands open."""

import numpy as np
from PIL import Image

from kattn.cli.commands.explain import METHODS
from kattn.cli.main import main
from kattn.explain.reports import methods


def test_it_offers_the_methods_of_the_library():
    assert METHODS == methods.METHODS


def test_weights_of_the_zoo_are_explained(tmp_path, capsys):
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype("uint8")
    Image.fromarray(image).save(tmp_path / "noise.png")
    arguments = ["cbam_resnet20", str(tmp_path / "noise.png"), "--weights", "cifar10", "--out", str(tmp_path / "out")]
    assert main(["explain", *arguments]) == 0
    assert str(tmp_path / "out" / "sheet.png") in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["001_noise_grad_cam.png", "sheet.png"]
