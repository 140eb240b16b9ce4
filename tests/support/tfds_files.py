"""Data sets on disk, byte by byte as tensorflow-datasets lays them out."""

import io
import json
import struct

import numpy as np
from PIL import Image


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def example(packed=True, **features):
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            feature = field(1, field(1, value))
        elif isinstance(value, float):
            feature = field(2, field(1, struct.pack("<f", value)))
        else:
            feature = field(3, field(1, varint(value)) if packed else varint(1 << 3) + varint(value))
        entries += field(1, field(1, name.encode()) + field(2, feature))
    return field(1, entries)


def record(data):
    return struct.pack("<Q", len(data)) + b"\0" * 4 + data + b"\0" * 4


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "png")
    return stream.getvalue()


def prepare(root, name="shapes", version="1.0.0", shards=2, class_names=("round", "square", "other"), **parts):
    """Write a data set as tensorflow-datasets would."""
    folder = root / name / version
    folder.mkdir(parents=True)
    splits = []
    for split, (images, labels) in parts.items():
        pieces = np.array_split(np.arange(len(labels)), shards)
        for number, piece in enumerate(pieces):
            data = [example(image=png(images[i]), label=int(labels[i]), id=f"{i}".encode()) for i in piece]
            file = folder / f"{name}-{split}.tfrecord-{number:05d}-of-{shards:05d}"
            file.write_bytes(b"".join(map(record, data)))
        template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
        splits.append({"name": split, "filepathTemplate": template, "shardLengths": [str(len(p)) for p in pieces]})
    info = {"name": name, "version": version, "fileFormat": "tfrecord", "splits": splits}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    kinds = {"image": {"image": {}}, "label": {"classLabel": {"numClasses": str(len(class_names))}}, "id": {"text": {}}}
    (folder / "features.json").write_text(json.dumps({"featuresDict": {"features": kinds}}))
    (folder / "label.labels.txt").write_text("\n".join([*class_names, ""]))
    return folder
