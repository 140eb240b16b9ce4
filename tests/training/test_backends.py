"""Training without TensorFlow."""

import pytest
from support.runs import shows_every_epoch_once
from support.training import BACKENDS, arrays, image_folder, without_tensorflow

from kattn.evaluation.evaluation import evaluate
from kattn.runs.folder import RunFolder
from kattn.training.recipes import list_recipes

IMPORTS = """
import pytest
from support.runs import RECIPE, At, interrupt, run, same_result
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_without_tensorflow_a_run_is_the_same_call(backend, tmp_path):
    without_tensorflow(backend, tmp_path / "r", IMPORTS + "run(out, recipe={**RECIPE, 'epochs': 2}, tensorboard=True)")
    found = RunFolder(tmp_path / "r")
    shows_every_epoch_once(tmp_path / "r")
    assert found.config()["backend"] == backend
    assert len(found.history()) == 2
    assert evaluate(tmp_path / "r", arrays(60)).confusion == found.metrics()["confusion"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_without_tensorflow_a_stopped_run_resumes_to_the_same_result(backend, tmp_path):
    code = """
whole = run(out + "/whole")
with pytest.raises(KeyboardInterrupt):
    run(out + "/stopped", callbacks=[At(2, interrupt)])
same_result(whole, run(out + "/stopped", resume=True))
"""
    without_tensorflow(backend, tmp_path, IMPORTS + code)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_without_tensorflow_committed_recipes_train_and_evaluate(backend, tmp_path):
    names = list_recipes()
    image_folder(tmp_path / "images")
    code = """
from pathlib import Path
from support.training import try_recipe
"""
    code += f"for name in {list(names)}:\n    try_recipe(name, Path(out) / 'images', Path(out) / name)\n"
    without_tensorflow(backend, tmp_path, code + 'assert "tensorflow" not in sys.modules')
    assert {path.name for path in tmp_path.iterdir()} == {"images", *names}
