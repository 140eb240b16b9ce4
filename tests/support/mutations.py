"""Damage by seed: to bytes, and to what they mean."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import struct
import zipfile

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, 1 << 62)


def flip_bits(data, rng):
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def set_bytes(data, rng):
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def truncate(data, rng):
    del data[rng.randrange(len(data)) :]


def splice(data, rng):
    start, other = rng.randrange(len(data)), rng.randrange(len(data))
    length = rng.randint(1, 64)
    data[start : start + length] = data[other : other + length]


def repeat(data, rng):
    start, length = rng.randrange(len(data)), rng.randint(1, 256)
    data[start:start] = data[start : start + length] * rng.randint(1, 20)


def remove(data, rng):
    start = rng.randrange(len(data))
    del data[start : start + rng.randint(1, 256)]


def insert(data, rng):
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.randbytes(rng.randint(1, 64))


def edit_length(data, rng):
    """A number of 1, 2, 4 or 8 bytes, most of them small ones that stand there: lengths, counts, offsets."""
    form = rng.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(form)
    places = [rng.randrange(max(1, len(data) - size + 1)) for _ in range(16)]
    place = next((p for p in places if 0 < int.from_bytes(data[p : p + size], "little") < 1 << 20), places[0])
    number = rng.choice((*NUMBERS, len(data), len(data) + 1)) & ((1 << 8 * size) - 1)
    data[place : place + size] = struct.pack(form, number)


BYTES = (flip_bits, set_bytes, truncate, splice, repeat, remove, insert, edit_length, edit_length)


def bytes_mutated(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if data:
            rng.choice(BYTES)(data, rng)
    return bytes(data)


# ---------------------------------------------------------------- mutations of what bytes mean

JUNK = (None, True, -1, 0, 1.5, 1e308, 10**30, "", "x" * 5000, "../../secret", "\x00", [], {}, [[]], {"": None}, "NaN")


def json_mutated(content: bytes, rng: random.Random) -> bytes:
    """Another value, a missing one, or one that stands elsewhere, in up to three places."""
    value = json.loads(content)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(value))
        holder, key = rng.choice(places)
        chance = rng.random()
        if chance < 0.2:
            del holder[key]
        elif chance < 0.5:
            other, name = rng.choice(places)
            holder[key] = copy.deepcopy(other[name]) if not _inside(holder, other[name]) else None
        else:
            holder[key] = copy.deepcopy(rng.choice(JUNK))
        if not isinstance(value, dict) or not value:
            break
    return json.dumps(value).encode()


def _places(value):
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _inside(holder, value):
    return isinstance(value, dict | list) and (value is holder or any(_inside(holder, one) for one in _values(value)))


def _values(value):
    return value.values() if isinstance(value, dict) else value


WORDS = (
    b"1e999",
    b"-1",
    b"nan",
    b"inf",
    b"[]",
    b"{}",
    b'""',
    b"1" * 400,
    b"'",
    b'"""',
    b"true",
    b"[[[",
    b"\x00",
    b"=1",
    b",",
)


def text_mutated(content: bytes, rng: random.Random) -> bytes:
    """A word replaced by another one."""
    words = list(re.finditer(rb"[^\s=,:\[\]{}]+", content))
    for word in rng.sample(words, min(len(words), rng.randint(1, 3))):
        new = rng.choice((*WORDS, rng.choice(words)[0]))
        content = content[: word.start()] + new + content[word.end() :] if rng.random() < 0.8 else content + b"\n" + new
    return content


def zip_mutated(content: bytes, rng: random.Random) -> bytes:
    """One file of an archive damaged, in an archive that is whole."""
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    chosen = rng.choice(list(members))
    inner = json_mutated if chosen.endswith(".json") and rng.random() < 0.8 else bytes_mutated
    members[chosen] = inner(members[chosen], rng)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as new:
        for name, value in members.items():
            new.writestr(name, value)
    return stream.getvalue()


def json_or_bytes_mutated(content, rng):
    return json_mutated(content, rng) if content[:1] == b"{" else bytes_mutated(content, rng)
