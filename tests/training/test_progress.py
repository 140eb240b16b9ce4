import keras
from support.runs import RECIPE
from support.training import arrays, tiny_model

from kattn.training.run import train


def test_progress_is_one_line_an_epoch(tmp_path, capsys):
    train(tiny_model(classes=3), data=arrays(60), recipe={**RECIPE, "epochs": 2}, out=tmp_path / "r")
    lines = capsys.readouterr().out.splitlines()
    backend = keras.backend.backend()
    assert lines[0] == f"tiny, 1,035 parameters and 16 statistics of normalisation, on the {backend} backend"
    assert lines[1] == "arrays: 42 training, 6 validation, 12 test images of 8x8x3, 3 classes"
    assert [line[:9] for line in lines if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    assert lines[-1] == f"saved in {tmp_path / 'r'}"
