"""The files beside the images name only files of their own folder, and damage to them is one clear error."""

import json

import pytest
from support.tfds_files import prepare
from support.training import arrays

from kattn.data.errors import DataError
from kattn.data.loading import load
from kattn.data.tfds.prepared import find_prepared, read_prepared


@pytest.fixture
def folder(tmp_path):
    return prepare(tmp_path, shards=1, train=arrays(12))


def change(folder, file, edit):
    content = json.loads((folder / file).read_text())
    edit(content)
    (folder / file).write_text(json.dumps(content))


@pytest.mark.parametrize(
    "template",
    [
        "../../../{DATASET}-{SPLIT}",
        "/etc/{SPLIT}",
        "sub/{SPLIT}",
        "..",
        "",
        "{SHARD_INDEX:>1000000000}",
        "{DATASET!r}",
        "{DATASET.__class__}",
        "{0}",
        "{{SPLIT}}",
        "{SPLIT",
        "{PASSWORD}",
    ],
)
def test_a_template_names_files_of_the_folder_by_known_fields_only(folder, tmp_path, template):
    change(folder, "dataset_info.json", lambda info: info["splits"][0].update(filepathTemplate=template or None))
    if not template:  # TFDS's own, where none is said
        assert read_prepared(folder, "shapes").shards["train"] == [folder / "shapes-train.tfrecord-00000-of-00001"]
        return
    with pytest.raises(DataError, match=r"that is not known|no file of this folder|not as tensorflow-datasets"):
        load("shapes", data_dir=tmp_path)


def test_every_field_of_a_template_is_filled_in(folder):
    template = "{SPLIT}.{FILEFORMAT}.{DATASET}.{SHARD_INDEX}.{NUM_SHARDS}.{SHARD_X_OF_Y}"
    change(folder, "dataset_info.json", lambda info: info["splits"][0].update(filepathTemplate=template))
    (file,) = read_prepared(folder, "shapes").shards["train"]
    assert file.name == "train.tfrecord.shapes.00000.00001.00000-of-00001"


@pytest.mark.parametrize("name", ["../../x", "a/b", "a\\b"])
def test_names_in_the_files_do_not_lead_elsewhere(folder, name):
    change(folder, "dataset_info.json", lambda info: info.update(name=name))
    with pytest.raises(DataError, match="no file of this folder"):
        read_prepared(folder, "shapes")
    change(folder, "features.json", lambda content: content["featuresDict"]["features"].pop("label"))
    change(
        folder,
        "features.json",
        lambda content: content["featuresDict"]["features"].update({name: {"classLabel": {"numClasses": 3}}}),
    )
    with pytest.raises(DataError, match="no file of this folder"):
        read_prepared(folder, "shapes")


@pytest.mark.parametrize("name", ["../shapes", "shapes/..", "shapes/.", "shapes/../../x", "a b", ""])
def test_what_is_no_name_is_not_looked_for(tmp_path, name):
    with pytest.raises(DataError, match="is neither a folder nor a TFDS name"):
        find_prepared(tmp_path, name)


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"splits": 3, "featuresDict": 3}', "\udcff"])
def test_damaged_descriptions_are_one_clear_error(folder, file, content):
    (folder / file).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match="shapes"):
        read_prepared(folder, "shapes")
    (folder / file).unlink()
    with pytest.raises(DataError, match=f"{file} cannot be read"):
        read_prepared(folder, "shapes")
