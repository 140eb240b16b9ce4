"""What ONNX and Keras files ask for beside computing: named, and refused."""

import io
import json
import zipfile

import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.tfds_files import field

from kattn.export import ExportError, ExportInputError, load
from kattn.export.proof.runner import Runner
from kattn.export.quiet import converting
from kattn.export.to_onnx import inspection
from kattn.export.to_tflite.graph import Operator, Tensor, TFLiteGraph, large_tensors
from kattn.hdf5 import write_model
from kattn.runs.opening import load_keras


def graph(*nodes, tensors=()):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 4, 3]) for name in ("image", "predictions")]
    return helper.make_graph(list(nodes), "graph", values[:1], values[1:], initializer=list(tensors))


def saved(path, made, domain="", functions=()):
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    onnx.save(helper.make_model(made, opset_imports=opsets, functions=list(functions), ir_version=10), path)
    return path


def outside(place, name="weights"):
    tensor = helper.make_tensor(name, TensorProto.FLOAT, [1, 4, 4, 3], bytes(4 * 48), raw=True)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    return tensor


ADD = helper.make_node("Add", ["image", "weights"], ["predictions"])
CALL = helper.make_node("Run", ["image"], ["predictions"], domain="my.company")


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "sub/../../secret", "link", ""])
def test_data_outside_the_folder_of_an_onnx_file_need_trust(tmp_path, place):
    (tmp_path / "secret").write_bytes(bytes(4 * 48))
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "link").symlink_to(tmp_path / "secret")
    path = saved(tmp_path / "inner" / "m.onnx", graph(ADD, tensors=[outside(place)]))
    with pytest.raises(ExportInputError, match=r"data in the file .* pass trust=True"):
        load(path)
    held = helper.make_node("Constant", [], ["weights"], value=outside(place))
    with pytest.raises(ExportInputError, match="data in the file"):
        load(saved(path, graph(held, ADD)))


def test_data_beside_an_onnx_file_need_none(tmp_path):
    np.full(48, 2, "float32").tofile(tmp_path / "m.bin")
    (tmp_path / "store").mkdir()
    path = saved(tmp_path / "store" / "blob", graph(ADD, tensors=[outside("m.bin")]))
    path.rename(tmp_path / "m.onnx")
    assert load(tmp_path / "m.onnx")(np.ones((1, 4, 4, 3)))["predictions"].max() == 3


def test_operators_of_other_domains_need_trust_also_in_inner_graphs(tmp_path):
    condition = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    inner = helper.make_graph([CALL], "inner", [], graph().output)
    branch = helper.make_node("If", ["yes"], ["predictions"], then_branch=inner, else_branch=inner)
    function = helper.make_function(
        "mine", "F", ["image"], ["predictions"], [CALL], [helper.make_opsetid("my.company", 1)]
    )
    for made, functions in (
        (graph(CALL), ()),
        (graph(branch, tensors=[condition]), ()),
        (graph(helper.make_node("F", ["image"], ["predictions"], domain="mine")), (function,)),
    ):
        with pytest.raises(ExportInputError, match=r"the operator my\.company::Run"):
            load(saved(tmp_path / "m.onnx", made, "my.company", functions))
    with pytest.raises(ExportInputError, match="not a readable onnx artefact"):  # trusted, but no runtime has it
        load(saved(tmp_path / "m.onnx", graph(CALL), "my.company"), trust=True)


def test_functions_of_the_file_itself_need_none(tmp_path):
    relu = helper.make_node("Relu", ["image"], ["predictions"])
    function = helper.make_function("mine", "F", ["image"], ["predictions"], [relu], [helper.make_opsetid("", 17)])
    call = helper.make_node("F", ["image"], ["predictions"], domain="mine")
    path = saved(tmp_path / "m.onnx", graph(call), "mine", [function])
    assert load(path)(-np.ones((1, 4, 4, 3)))["predictions"].max() == 0


def test_a_file_that_its_runtime_cannot_run_is_one_clear_error(tmp_path):
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [5, 5])
    reshape = helper.make_node("Reshape", ["image", "shape"], ["predictions"])
    path = saved(tmp_path / "m.onnx", graph(reshape, tensors=[shape]))
    with pytest.raises(ExportInputError, match=r"m\.onnx (can be read but not run|is not a readable onnx artefact)"):
        load(path)(np.ones((1, 4, 4, 3)))


def test_a_graph_of_many_empty_parts_is_counted_before_it_is_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(inspection, "MOST_FIELDS", 1000)

    def inside(*numbers, content):
        for number in reversed(numbers):
            content = field(number, content)
        return content

    for place in ((7,), (7, 1), (7, 1, 5, 6), (25,), (20, 1)):
        content = inside(*place, content=bytes((1 << 3 | 2, 0)) * 1001)
        (tmp_path / "m.onnx").write_bytes(b"\x08\x0a" + content)
        with pytest.raises(ExportInputError, match=r"more than 1,000 fields, .* pass trust=True"):
            load(tmp_path / "m.onnx")
    for damaged in (b"", b"\x08", b"\x0f", b"\x3a\xff\x01", b"\xff" * 20, b"\x3a\x02\x0a\x05"):
        (tmp_path / "m.onnx").write_bytes(damaged)
        with pytest.raises(ExportInputError, match="not a readable onnx artefact"):
            load(tmp_path / "m.onnx")


def test_a_tensor_that_alone_fills_the_memory_is_found_by_its_shape():
    def of(*shape):
        return Tensor("map", shape, shape, "FLOAT32", False)

    operators = (Operator("MEAN", (of(1, 8, 8, 4),), (of(1, 2**31 - 1),)),)
    assert large_tensors(TFLiteGraph(operators, (), ())) == ["a tensor of 2,147,483,647 numbers ('map')"]
    assert large_tensors(TFLiteGraph((Operator("MEAN", (of(-1, 8, 8, 4),), (of(1024, 1024, 256),)),), (), ())) == []


def test_a_file_without_inputs_or_outputs_is_no_model_and_no_error_is_lost(tmp_path):
    class Empty(Runner):
        def run(self, tensors):
            return {}

    with pytest.raises(ExportInputError, match="has 0 inputs and 1 outputs: it is no model"):
        Empty(tmp_path, {}, None, ("predictions",))
    with pytest.raises(ExportError, match="Reading failed: StopIteration"), converting("Reading"):
        next(iter(()))


@pytest.mark.parametrize("labels", ["/etc/passwd", "[" * 100_000, '{"a": 1}', "3"])
def test_labels_in_a_file_are_names_and_never_a_path(tmp_path, labels):
    relu = helper.make_node("Relu", ["image"], ["predictions"])
    model = helper.make_model(graph(relu), opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, {"labels": labels, "resize": "crop"})
    onnx.save(model, tmp_path / "m.onnx")
    assert not any(output.labels.known for output in load(tmp_path / "m.onnx").description.outputs.values())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    path = tmp_path_factory.mktemp("keras") / "m.keras"
    write_model(model, path)
    return path


def changed(small, path, change):
    """A .keras file whose configuration, as text, was changed."""
    with zipfile.ZipFile(small) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content.decode()) if name == "config.json" else content)
    return path


def a_lambda(text):
    config = json.loads(text)
    layer = config["config"]["layers"][1]
    layer |= {"class_name": "Lambda", "module": "keras.layers"}
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}
    layer["config"] = {"name": "x", "function": code, "arguments": {}}
    return json.dumps(config)


def a_class_of_someone(text):
    return text.replace('"class_name": "Flatten"', '"class_name": "Mine"').replace("keras.layers", "someones.package")


@pytest.mark.parametrize("change", [a_lambda, a_class_of_someone])
def test_a_keras_file_that_needs_code_is_never_executed(small, tmp_path, change):
    path = changed(small, tmp_path / "m.keras", change)
    for opener in (load_keras, load, lambda path: load(path, trust=True)):
        with pytest.raises(ValueError, match=r"kattn executes no code of a file\. .*If you trust .* safe_mode=False"):
            opener(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "[" * 100_000,
        lambda text: "{}",
        lambda text: '{"class_name": "Adam", "module": "keras.optimizers", "config": {}, "registered_name": null}',
        lambda text: text.replace('"units": 2', '"units": []'),
        lambda text: " " * (33 << 20) + text,
    ],
)
def test_a_keras_file_with_another_configuration_is_one_error(small, tmp_path, change):
    with pytest.raises(ValueError, match=r"m\.keras is not a readable \.keras file: "):
        load_keras(changed(small, tmp_path / "m.keras", change))


def test_a_keras_file_that_swells_is_refused_before_it_is_opened(small, tmp_path):
    path = changed(small, tmp_path / "m.keras", str)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file, file.open("assets/x", "w") as member:
        for _ in range(100):
            member.write(bytes(1 << 20))
    with pytest.raises(ValueError, match="it swells to 100 MB, more than the"):
        load_keras(path)
    (tmp_path / "n.keras").write_bytes(io.BytesIO(b"PK\x05\x06" + bytes(18)).getvalue())
    with pytest.raises(ValueError, match="not a readable"):
        load_keras(tmp_path / "n.keras")
