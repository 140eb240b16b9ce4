"""Give the boundary tensors of a .tflite file the names of its signature."""

from __future__ import annotations

import struct

NAME = 10  # position of a tensor's name in its table (field 3 of the schema)


def named_tensors(content: bytes) -> bytes:
    """The same file with every input and output tensor named as in its first signature.

    The converter leaves "serving_default_image:0" and "StatefulPartitionedCall:0". A flatbuffer refers to a string by
    its distance, so the new names go to the end of the file and the rest stays where it is, byte for byte.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    if not model.SignatureDefsLength():
        return content
    signature = model.SignatureDefs(0)
    graph = model.Subgraphs(signature.SubgraphIndex())
    maps = [signature.Inputs(i) for i in range(signature.InputsLength())]
    maps += [signature.Outputs(i) for i in range(signature.OutputsLength())]
    result = bytearray(content)
    for entry in maps:
        table = graph.Tensors(entry.TensorIndex())._tab
        offset = table.Offset(NAME)
        if not offset:
            continue
        result.extend(b"\0" * (-len(result) % 4))
        name = entry.Name()
        struct.pack_into("<I", result, table.Pos + offset, len(result) - (table.Pos + offset))
        result.extend(struct.pack("<I", len(name)) + name + b"\0")
    result.extend(b"\0" * (-len(result) % 16))
    return bytes(result)
