"""SavedModels that would do more than compute: found without loading them, and refused without trust."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import kattn
from kattn.cli.main import main
from kattn.export import ExportInputError, bench, load
from kattn.export.to_saved_model.inspection import beyond_computing, computing
from kattn.runs.opening import ARTEFACT, open_model

SHAPE = (None, 4, 4, 3)


class Module(tf.Module):
    """A SavedModel that answers with one number an image, after `effect` has seen the path of a file."""

    def __init__(self, effect, victim, table=None):
        super().__init__()
        self.scale, self.table = tf.Variable(2.0), table
        self.effect, self.victim = effect, str(victim)

    @tf.function(input_signature=[tf.TensorSpec(SHAPE, tf.float32, name="image")])
    def __call__(self, image):
        self.effect(tf.constant(self.victim))
        known = 0.0 if self.table is None else tf.cast(self.table.lookup(tf.constant(["a"]))[0], tf.float32)
        return {"predictions": self.scale * tf.reduce_mean(image, axis=(1, 2)) + known}


def save(folder, effect=lambda victim: None, victim="victim", table=None):
    module = Module(effect, victim, table)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.__call__})
    return folder


def edited(folder, change):
    """A SavedModel whose protocol buffer is changed by hand."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    model = SavedModel()
    model.ParseFromString((folder / "saved_model.pb").read_bytes())
    change(model.meta_graphs[0])
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    return folder


class WritingInitialiser(tf.lookup.KeyValueTensorInitializer):
    """Fills a table, and writes a file on the way."""

    def __init__(self, victim):
        super().__init__(tf.constant(["a"]), tf.constant([1], tf.int64))
        self.victim = str(victim)

    def initialize(self, table):
        with tf.control_dependencies([tf.io.write_file(self.victim, "hello")]):
            return super().initialize(table)


EFFECTS = {
    "WriteFile": lambda victim: tf.io.write_file(victim, "hello"),
    "ReadFile": tf.io.read_file,
    "MatchingFiles": tf.io.matching_files,
    "EagerPyFunc": lambda victim: tf.py_function(lambda path: path, [victim], tf.string),
    "PyFunc": lambda victim: tf.numpy_function(lambda path: path, [victim], tf.string),
    "PrintV2": lambda victim: tf.print("hello", output_stream="file://victim"),
    "SaveV2": lambda victim: tf.raw_ops.SaveV2(prefix=victim, tensor_names=["a"], shape_and_slices=[""], tensors=[1.0]),
    "RestoreV2": lambda victim: tf.raw_ops.RestoreV2(
        prefix=victim, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
    ),
    "TextLineDataset": lambda victim: tf.data.TextLineDataset(victim).reduce(0, lambda count, line: count + 1),
    "ImmutableConst": lambda victim: tf.raw_ops.ImmutableConst(dtype=tf.uint8, shape=(1,), memory_region_name="victim"),
}


@pytest.mark.parametrize("operator", EFFECTS)
def test_an_operator_that_does_more_than_compute_is_named_and_refused(operator, tmp_path):
    path = save(tmp_path / "m", EFFECTS[operator], tmp_path / "victim")
    with pytest.raises(ExportInputError, match=rf"has: .*\b{operator} in __inference.* pass trust=True"):
        load(path)
    assert not (tmp_path / "victim").exists()


def test_an_initialiser_that_writes_is_refused_everywhere_and_would_have_written(tmp_path, capsys):
    victim = tmp_path / "victim"
    table = tf.lookup.StaticHashTable(WritingInitialiser(victim), -1)
    victim.unlink()
    path = save(tmp_path / "m", table=table)
    victim.unlink(missing_ok=True)
    data = (np.zeros((4, 4, 4, 3), "uint8"), np.arange(4) % 2)
    for use in (
        lambda: load(path),
        lambda: open_model(path, kinds=(ARTEFACT,)),
        lambda: kattn.evaluate(path, data),
        lambda: bench(path, calls=1),
    ):
        with pytest.raises(ExportInputError, match="WriteFile in __inference"):
            use()
    for command in ("bench", "evaluate"):
        assert main([command, str(path)]) == 1
        assert "WriteFile in __inference" in (said := capsys.readouterr().err) and "pass --trust" in said
    assert not victim.exists()
    assert load(path, trust=True)(np.ones((1, 4, 4, 3)))["predictions"].tolist() == [[3.0, 3.0, 3.0]]
    assert victim.read_text() == "hello"
    assert open_model(path, kinds=(ARTEFACT,), trust=True).runner and len(bench(path, calls=1, trust=True)) == 1
    assert kattn.evaluate(path, data, trust=True).images == 2
    assert main(["bench", str(path), "--trust"]) == 0


def test_a_table_in_memory_needs_no_trust_and_one_from_a_file_does(tmp_path):
    (tmp_path / "words.txt").write_text("a\t1\n")
    in_memory = tf.lookup.KeyValueTensorInitializer(tf.constant(["a"]), tf.constant([1], tf.int64))
    load(save(tmp_path / "memory", table=tf.lookup.StaticHashTable(in_memory, -1)))
    from_file = tf.lookup.TextFileInitializer(str(tmp_path / "words.txt"), tf.string, 0, tf.int64, 1, delimiter="\t")
    with pytest.raises(ExportInputError, match="InitializeTableFromTextFileV2 in"):
        load(save(tmp_path / "file", table=tf.lookup.StaticHashTable(from_file, -1)))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return save(tmp_path_factory.mktemp("plain") / "m")


def _unknown(graph):
    graph.graph_def.library.function[0].node_def.add(name="x", op="MyCompanyOp")


def _saver_called(graph):
    library = graph.graph_def.library.function
    saver = next(one.signature.name for one in library if any(node.op == "SaveV2" for node in one.node_def))
    other = next(one for one in library if not any(node.op in ("SaveV2", "RestoreV2") for node in one.node_def))
    other.node_def.add(name="x", op="PartitionedCall").attr["f"].func.name = saver


def _saver_as_operator(graph):
    library = graph.graph_def.library.function
    saver = next(one.signature.name for one in library if any(node.op == "RestoreV2" for node in one.node_def))
    graph.graph_def.node.add(name="x", op=saver)


def _saver_as_gradient(graph):
    library = graph.graph_def.library
    saver = next(one.signature.name for one in library.function if any(node.op == "SaveV2" for node in one.node_def))
    library.gradient.add(function_name=library.function[0].signature.name, gradient_func=saver)


def _saver_in_place_of_another(graph):
    library = graph.graph_def.library.function
    saver = next(one for one in library if any(node.op == "SaveV2" for node in one.node_def))
    saver.attr["api_implements"].s = b"f"


def _writing_in_the_saver(graph):
    library = graph.graph_def.library.function
    saver = next(one for one in library if any(node.op == "SaveV2" for node in one.node_def))
    saver.node_def.add(name="x", op="WriteFile")


def _of_tensorflow_1(graph):
    graph.ClearField("object_graph_def")


def _asset_outside(graph):
    graph.asset_file_def.add(filename="../../../etc/passwd").tensor_info.name = "x:0"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_unknown, "MyCompanyOp in"),
        (_saver_called, "a call of __inference__traced_save"),
        (_saver_as_operator, "a call of __inference__traced_restore"),
        (_saver_as_gradient, "a call of __inference__traced_save"),
        (_saver_in_place_of_another, "a call of __inference__traced_save"),
        (_writing_in_the_saver, "WriteFile in __inference__traced_save"),
        (_of_tensorflow_1, "initialisers of TensorFlow 1"),
        (_asset_outside, r"the file '\.\./\.\./\.\./etc/passwd'"),
    ],
)
def test_what_was_hidden_by_hand_is_found(plain, tmp_path, change, found):
    shutil.copytree(plain, tmp_path / "m")
    with pytest.raises(ExportInputError, match=found):
        load(edited(tmp_path / "m", change))


def test_a_graph_that_is_too_large_to_look_through_needs_trust(plain, tmp_path, monkeypatch):
    from kattn.export.to_saved_model import inspection

    monkeypatch.setattr(inspection, "MOST_NODES", 10)
    with pytest.raises(ExportInputError, match=r"operators and objects, more than the 10 .* pass trust=True"):
        load(plain)
    monkeypatch.setattr(inspection, "MOST_BYTES", 100)
    with pytest.raises(ExportInputError, match=r"more than the 0 MB .* pass trust=True"):
        load(plain)
    assert load(plain, trust=True).outputs == ("predictions",)


def test_what_keras_exports_needs_no_trust(tmp_path):
    layers = keras.layers
    inputs = keras.Input(SHAPE[1:])
    x = layers.Rescaling(1 / 255)(layers.RandomFlip()(inputs))
    x = layers.Conv2D(4, 3, padding="same", activation="gelu")(x)
    x = layers.GroupNormalization(2)(layers.DepthwiseConv2D(3)(layers.BatchNormalization()(x)))
    x = layers.MaxPooling2D(padding="same")(layers.UpSampling2D(interpolation="bilinear")(x))
    x = layers.Flatten()(layers.Dropout(0.5)(layers.MultiHeadAttention(1, 4)(x, x)))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(x))
    model.export(tmp_path / "m", verbose=False)
    assert beyond_computing(tmp_path / "m") == []


def test_the_operators_that_compute_exist_and_none_of_them_is_known_to_do_more():
    known = set(tf.raw_ops.__dict__)
    assert computing() <= known, computing() - known
    barred = ("File", "Reader", "Dataset", "PyFunc", "Save", "Restore", "Summary", "Print", "Remote", "Xla", "Proto")
    assert not [name for name in computing() if any(word in name for word in barred)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*kattn.zoo.list_models("*_resnet20"), "xception", "mobilenet_v2", "shufflenet_v2_x1_0"]
)
def test_every_mechanism_of_the_zoo_only_computes(name, tmp_path):
    from kattn.export.source.preparing import prepare
    from kattn.export.to_saved_model.export import write_saved_model

    model = kattn.zoo.create(name, classes=3, input_shape=(64, 64, 3))
    write_saved_model(prepare(model), tmp_path / "m", batch=None, signatures=("float32", "uint8"))
    assert beyond_computing(tmp_path / "m") == []
