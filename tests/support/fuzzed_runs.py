"""Good recipes, run folders, searches, certificates and data sets to damage, and how each is read."""

from __future__ import annotations

import json

from support.fuzzed_models import tiny_model

RECIPE = """\
summary = "a recipe"
epochs = 20
batch_size = 128
learning_rate = 0.1
warmup_epochs = 2.0
schedule = "step"
milestones = [0.5, 0.75]
nesterov = true
"""


def make_recipe(folder):
    (folder / "a.toml").write_text(RECIPE)
    return folder / "a.toml", [folder / "a.toml"]


def read_recipe(path):
    from kattn.training.recipes import load_recipe

    load_recipe(path, {"epochs": 3})


def make_run(*damaged):
    def make(folder):
        import numpy as np

        from kattn.runs import folder as files
        from kattn.runs.folder import BEST, CONFIG, METRICS, MODEL, RunFolder

        run = RunFolder(folder / "run")
        run.path.mkdir()
        model = tiny_model()
        data = {"spec": "digits", "settings": {"image_size": [8, 8], "validation": 0.1, "split_seed": 0}}
        data |= {"settings": data["settings"] | {"data_dir": None, "on_error": "raise"}, "limit": 20, "name": "digits"}
        data |= {"class_names": ["a", "b"], "image_shape": [8, 8, 3], "images": {"test": 20}}
        recipe = {"name": "quick", "epochs": 1, "batch_size": 8, "select": "best"}
        config = {"model": "tiny", "options": {"reduction": 4}, "data": data, "recipe": recipe, "seed": 0}
        scores = {"images": 2, "classes": 2, "top1": 0.5, "top5": None, "loss": 0.1, "calibration_error": 0.1}
        scores |= {"per_class": {"a": 1.0, "b": None}, "confusion": [[1, 0], [0, 0]], "model": "m", "data": "d"}
        (run.path / CONFIG).write_text(json.dumps(config))
        (run.path / METRICS).write_text(json.dumps(scores | {"first_level": None}))
        (run.path / MODEL).write_text(model.to_json())
        (run.path / BEST).write_bytes(b"")
        run.write_weights(BEST, model)
        run.write_history([{"epoch": i, "loss": 1 / i, "val_accuracy": 0.5} for i in range(1, 5)])
        run.write_state({"history": np.array("[]"), "00000": np.arange(12.0)})
        run.write_images({name: np.arange(8, dtype="uint64") for name in ("train", "test")})
        return run.path, [run.path / getattr(files, name) for name in damaged]

    return make


def read_config(path):
    from kattn.data.loading import load, local_data_dir, stored_settings
    from kattn.runs.folder import CONFIG, RunFolder
    from kattn.runs.records import require

    config = RunFolder(path).config()
    require(config, ("data.spec", "data.settings", "data.class_names"), path / CONFIG)
    data = config["data"]
    settings = stored_settings(data["settings"], str(path))
    settings["data_dir"] = local_data_dir(data["spec"], settings.pop("data_dir", None), None, who=str(path))
    load(data["spec"], splits=("test",), limit=data.get("limit"), **settings)


def read_run(path):
    from kattn.training.run import open_run

    open_run(path)


def read_run_model(path):
    from kattn.runs.folder import RunFolder

    RunFolder(path).load_model("best")


def read_history(path):
    from kattn.runs.folder import RunFolder

    RunFolder(path).history()


def read_state(path):
    from kattn.runs.folder import RunFolder

    RunFolder(path).read_state()


def read_images(path):
    from kattn.runs.folder import RunFolder

    RunFolder(path).read_images()


def make_best(folder):
    best = {"model": "resnet20", "options": {"depths": [1, 1, 1]}, "recipe": {"epochs": 1, "batch_size": 8}}
    best |= {"data": "digits", "seed": 0, "image_size": [8, 8], "validation": 0.1, "data_dir": None}
    (folder / "best.json").write_text(json.dumps(best))
    return folder / "best.json", [folder / "best.json"]


def read_best_file(path):
    from kattn.training.recipes import load_recipe
    from kattn.tuning.results import read_best

    load_recipe(read_best(path)["recipe"])


def make_trials(folder):
    trial = {"status": "completed", "accuracy": 0.5, "epochs": 1, "model": "resnet20", "values": {"reduction": 4}}
    trial |= {"options": {}, "recipe": {}, "costs": {"parameters": 10, "macs": 20}}
    (folder / "trials" / "0000-a").mkdir(parents=True)
    (folder / "trials" / "0000-a" / "trial.json").write_text(json.dumps(trial))
    return folder / "trials", [folder / "trials" / "0000-a" / "trial.json"]


def read_trial_records(path):
    from kattn.tuning.results import read_trials

    read_trials(path)


def make_report(folder):
    from kattn.export.proof.report import Difference, Report

    values = {
        "dict": {"a": {"shape": [1], "kind": "probabilities"}},
        "int": 1,
        "float": 0.5,
        "bool": True,
        "list": ["x"],
        "Sequence": ["x"],
    }
    kinds = {name: field.type.partition("[")[0].split()[0] for name, field in Report.__dataclass_fields__.items()}
    fields = {name: values.get(kind, "x") for name, kind in kinds.items()}
    fields["differences"] = {"predictions": dict.fromkeys(Difference.__dataclass_fields__, 0.5)}
    (folder / "m.json").write_text(json.dumps(fields))
    return folder / "m.json", [folder / "m.json"]


def read_report(path):
    from kattn.export.proof.report import Report

    Report.read(path)


def make_tfds(folder):
    import numpy as np

    from support.tfds_files import prepare

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 8, 8, 3), dtype="uint8")
    prepare(folder, shards=1, train=(images, np.arange(6) % 2), test=(images, np.arange(6) % 2))
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return folder, files


def read_tfds(path):
    from kattn.data.loading import load

    load("shapes", data_dir=path, cache=True)
