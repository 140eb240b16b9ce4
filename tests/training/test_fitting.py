import keras
import numpy as np
import pytest
from support.training import arrays, tiny_model, two_output_model

from kattn.training.fitting import compile_for
from kattn.training.recipes import load_recipe


def test_each_output_has_its_head():
    model = two_output_model(classes=3)
    compile_for(model, load_recipe("afi_finetune"), steps=10)
    full = [v.path for v, slow in zip(model.trainable_variables, model.optimizer.slower, strict=True) if not slow]
    heads = {layer.name for layer in model.layers if isinstance(layer, keras.layers.Dense)}
    assert len(heads) == 2
    assert {path.split("/")[0] for path in full} == heads


def test_the_head_learns_at_the_full_rate_and_the_body_slower():
    model = tiny_model(classes=3, dropout=0.0)
    compile_for(model, load_recipe("afi_finetune", {"schedule": "constant"}), steps=10)
    slower = dict(zip([v.path for v in model.trainable_variables], model.optimizer.slower, strict=True))
    assert {path.split("/")[0] for path, slow in slower.items() if not slow} == {"predictions"}
    before = [np.array(v) for v in model.trainable_variables]
    ones = [keras.ops.ones(v.shape) for v in model.trainable_variables]
    model.optimizer.l2, model.optimizer.decaying = 0.0, [False] * len(ones)
    model.optimizer.apply(ones, model.trainable_variables)
    moved = [float(np.mean(b - np.asarray(v))) for b, v in zip(before, model.trainable_variables, strict=True)]
    expected = [0.001 if slow else 0.01 for slow in model.optimizer.slower]
    np.testing.assert_allclose(moved, expected, rtol=1e-3)


@pytest.mark.parametrize("recipe", ["quick", "adamw", "afi_finetune"])
def test_optimizer_and_schedule_survive_saving(recipe, tmp_path):
    model = tiny_model(classes=3)
    compile_for(model, load_recipe(recipe), steps=10)
    x, y = arrays(12)
    model.train_on_batch(x, y if recipe == "afi_finetune" else np.eye(3, dtype="float32")[y])
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert type(loaded.optimizer) is type(model.optimizer)
    ours, theirs = model.optimizer.get_config(), loaded.optimizer.get_config()
    assert keras.saving.serialize_keras_object(ours) == keras.saving.serialize_keras_object(theirs)
    loaded.optimizer.build(loaded.trainable_variables)
    for name in ("decaying", "slower", "_exclude_from_weight_decay"):
        assert len(getattr(model.optimizer, name, ())) == len(getattr(loaded.optimizer, name, ()))
