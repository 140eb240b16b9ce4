"""Against a server that misbehaves: nothing wrong is given out, the cache is never left broken, the message helps."""

import dataclasses
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
from support.misbehaving_server import serve

from kattn.zoo.weights import cache, download, manifest, transfer
from kattn.zoo.weights.cache import FetchError, file_name
from kattn.zoo.weights.download import fetch

CONTENT = bytes(range(256)) * 512
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FACTS = {
    "model": "resnet20",
    "tag": "cifar10.test",
    "classes": 10,
    "input_shape": (32, 32, 3),
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "license": "none",
    "metric": "none",
    "metric_source": "none",
    "verified": "no",
}


@pytest.fixture
def server():
    with serve() as one:
        yield one


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """As little of it as a test needs, and no environment from outside."""
    for module in (download, transfer):
        monkeypatch.setattr(module, "TIMEOUT", 0.4)
    monkeypatch.setattr(transfer, "WAITS", (0.0, 0.0))
    for name in ("KATTN_CACHE", "KATTN_OFFLINE", "KATTN_MIRROR", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def entry(url="", *, sha256=SHA256, **facts):
    return manifest.Entry(**FACTS | {"url": url, "hash": f"sha256:{sha256}" if sha256 else ""} | facts)


def files(home: Path) -> list[str]:
    """What lies in the cache, but for locks and records."""
    inside = (path for path in home.rglob("*") if path.is_file() and path.parent.name not in ("locks", "records"))
    return sorted(path.name.split("-", 1)[-1] for path in inside)


def test_a_file_is_fetched_once_and_then_found(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT))
    assert fetch(one, tmp_path).read_bytes() == CONTENT
    assert fetch(one, tmp_path).read_bytes() == CONTENT
    assert server.gets("/w.h5") == [""] and files(tmp_path) == ["w.h5"]


def test_a_truncated_body_is_completed_from_where_it_ended(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT, "cut 0.5", "whole"))
    assert fetch(one, tmp_path).read_bytes() == CONTENT
    assert server.gets("/w.h5") == ["", f"bytes={len(CONTENT) // 2}-"]


def test_an_interrupted_run_is_continued_by_the_next(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT, "cut 0.25", "status 503"))
    with pytest.raises(FetchError, match=r"503.*3 tries.*goes on where it ended"):
        fetch(one, tmp_path)
    assert files(tmp_path) == ["w.h5.part", "w.h5.part.etag"]
    server.ways["/w.h5"] = ["whole"]
    assert fetch(one, tmp_path).read_bytes() == CONTENT
    assert server.gets("/w.h5")[-1] == f"bytes={len(CONTENT) // 4}-" and files(tmp_path) == ["w.h5"]


def test_a_server_that_does_not_resume_sends_the_whole(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT, "cut 0.5", "unversioned"))
    assert fetch(one, tmp_path).read_bytes() == CONTENT


def test_another_part_than_was_asked_for_is_not_used(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT, "wrong_part", "whole"))
    assert fetch(one, tmp_path).read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_and_leaves_nothing(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT, "garbage"))
    with pytest.raises(FetchError, match=r"its sha256 begins .* It was not used"):
        fetch(one, tmp_path)
    assert files(tmp_path) == []


def test_garbage_once_is_fetched_anew(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT, "garbage", "whole"))
    assert fetch(one, tmp_path).read_bytes() == CONTENT


def test_404_is_said_at_once(server, tmp_path):
    one = entry(f"{server.address}/none.h5")
    with pytest.raises(FetchError, match=r"404 .* give its path as weights="):
        fetch(one, tmp_path)
    assert len(server.gets("/none.h5")) == 1 and files(tmp_path) == []


def test_500_is_tried_again(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT, "status 500", "status 503", "whole"))
    assert fetch(one, tmp_path).read_bytes() == CONTENT


def test_a_stall_ends_and_is_tried_again(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT, "stall 3", "whole"))
    assert fetch(one, tmp_path).read_bytes() == CONTENT


def test_a_dropped_connection_is_tried_again(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT, "drop", "whole"))
    assert fetch(one, tmp_path).read_bytes() == CONTENT


def test_nobody_there(tmp_path):
    one = entry("http://127.0.0.1:9/w.h5")
    with pytest.raises(FetchError, match=r"refused.*Try again"):
        fetch(one, tmp_path)
    assert files(tmp_path) == []


def test_a_redirect_is_followed(server, tmp_path):
    there = server.put("/there.h5", CONTENT)
    assert fetch(entry(server.put("/w.h5", CONTENT, f"redirect {there}")), tmp_path).read_bytes() == CONTENT


def test_a_redirect_in_a_circle_ends(server, tmp_path):
    url = f"{server.address}/w.h5"
    server.put("/w.h5", CONTENT, f"redirect {url}")
    with pytest.raises(FetchError, match="302"):
        fetch(entry(url), tmp_path)


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/w.h5"])
def test_a_redirect_out_of_the_web_is_refused(server, tmp_path, where):
    one = entry(server.put("/w.h5", CONTENT, f"redirect {where}"))
    with pytest.raises(FetchError, match=r"not followed|302"):
        fetch(one, tmp_path)
    assert files(tmp_path) == []


def test_a_url_that_is_no_web_address_is_refused(tmp_path):
    (tmp_path / "w.h5").write_bytes(CONTENT)
    with pytest.raises(FetchError, match="neither http nor https"):
        fetch(entry((tmp_path / "w.h5").as_uri()), tmp_path / "cache")


def test_two_at_once_fetch_once(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT))
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch(one, tmp_path).read_bytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 4 and server.gets("/w.h5") == [""] and files(tmp_path) == ["w.h5"]


def test_two_processes_at_once_fetch_once(server, tmp_path):
    facts = FACTS | {"url": server.put("/w.h5", CONTENT), "hash": f"sha256:{SHA256}"}
    code = (
        "from kattn.zoo.weights.download import fetch\nfrom kattn.zoo.weights.manifest import Entry\n"
        f"print(len(fetch(Entry(**{facts!r}), {str(tmp_path)!r}).read_bytes()))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=120)[0].strip() for process in running] == [str(len(CONTENT))] * 2
    assert server.gets("/w.h5") == [""] and files(tmp_path) == ["w.h5"]


def test_no_room_is_said_before_anything_is_written(server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: _Usage)
    one = entry(server.put("/w.h5", CONTENT))
    with pytest.raises(FetchError, match=r"room for 0 MB.*KATTN_CACHE"):
        fetch(one, tmp_path)
    assert files(tmp_path) == []


class _Usage:
    free = 1000


def test_a_disk_that_is_full_in_the_middle_leaves_nothing(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(CONTENT) // 2, hard))
    try:
        with pytest.raises(FetchError, match=r"could not be fetched into .*the room on the disk"):
            fetch(one, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path) == []
    assert fetch(one, tmp_path).read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "cache").write_text("a file stands where the folder should")
    with pytest.raises(FetchError, match=r"the cache .* cannot be written.*cache_dir="):
        fetch(entry(server.put("/w.h5", CONTENT)), tmp_path / "cache")


def test_a_read_only_cache_serves_what_it_has(server, tmp_path, monkeypatch):
    one = entry(server.put("/w.h5", CONTENT), sha256="")
    fetch(one, tmp_path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    for record in (tmp_path / "records").iterdir():
        record.unlink()
    assert fetch(one, tmp_path).read_bytes() == CONTENT


def test_a_corrupted_cache_file_is_noticed_and_fetched_anew(server, tmp_path, caplog):
    one = entry(server.put("/w.h5", CONTENT))
    path = fetch(one, tmp_path)
    path.write_bytes(CONTENT[:-1] + b"!")
    assert fetch(one, tmp_path).read_bytes() == CONTENT
    assert "is damaged" in caplog.text and files(tmp_path) == ["w.h5"]


def test_offline_takes_the_cache_or_says_so(server, tmp_path, monkeypatch):
    one = entry(server.put("/w.h5", CONTENT))
    monkeypatch.setenv("KATTN_OFFLINE", "1")
    with pytest.raises(FetchError, match=r"not in the cache .*KATTN_OFFLINE"):
        fetch(one, tmp_path)
    monkeypatch.setenv("KATTN_OFFLINE", "0")
    path = fetch(one, tmp_path)
    monkeypatch.setenv("KATTN_OFFLINE", "1")
    assert fetch(one, tmp_path) == path
    path.write_bytes(b"")
    with pytest.raises(FetchError, match=r"damaged .*switched off"):
        fetch(one, tmp_path)
    assert len(server.gets("/w.h5")) == 1


def test_without_a_published_hash_the_first_use_is_recorded_and_holds(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT), sha256="")
    fetch(one, tmp_path).unlink()
    server.put("/w.h5", CONTENT[::-1])
    with pytest.raises(FetchError, match=r"not the file of \d{4}-.*If its publisher changed the file, delete .*json"):
        fetch(one, tmp_path)
    assert files(tmp_path) == []


def test_a_mirror_is_asked_first_and_the_source_where_it_fails(server, tmp_path, monkeypatch):
    url = server.put("/w.h5", CONTENT)
    host = url.split("/")[2]
    monkeypatch.setenv("KATTN_MIRROR", f"{server.address}/mirror/")
    fetch(entry(url), tmp_path / "a")
    assert server.gets(f"/mirror/{host}/w.h5") == [""] and server.gets("/w.h5") == [""]
    server.put(f"/mirror/{host}/w.h5", CONTENT)
    fetch(entry(url), tmp_path / "b")
    assert len(server.gets("/w.h5")) == 1


def test_the_cache_is_where_the_environment_says(server, tmp_path, monkeypatch):
    monkeypatch.setenv("KATTN_CACHE", str(tmp_path / "here"))
    assert fetch(entry(server.put("/w.h5", CONTENT))).is_relative_to(tmp_path / "here")


@pytest.mark.parametrize("name", ["../w.h5", "/etc/w.h5", "a/../../w.h5", "..", "w\x00.h5", ".hidden", "a\\b.h5"])
def test_a_name_that_leads_out_of_the_cache_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="is not the name of a file"):
        file_name(entry("http://127.0.0.1/w.h5", file=name))


def test_a_link_in_the_cache_is_not_written_through(server, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    one = entry(server.put("/w.h5", CONTENT))
    target = tmp_path / "cache" / "files" / file_name(one)
    target.parent.mkdir(parents=True)
    target.symlink_to(victim)
    target.with_name(f"{target.name}.part").symlink_to(victim)
    with pytest.raises(FetchError, match="could not be fetched"):
        fetch(one, tmp_path / "cache")
    assert fetch(one, tmp_path / "cache").read_bytes() == CONTENT
    assert victim.read_text() == "mine" and not target.is_symlink()


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members.items():
            content.writestr(name.replace("__", "/"), data)
    return file.getvalue()


def test_an_archive_gives_the_file_that_the_manifest_names(server, tmp_path):
    packed = archive(**{"w.h5": CONTENT, "..__evil": b"x"})
    path = fetch(entry(server.put("/w.zip", packed), file="w.h5"), tmp_path)
    assert path.read_bytes() == CONTENT and files(tmp_path) == ["w.h5"] and not (tmp_path / "evil").exists()


def test_an_archive_that_swells_is_not_unpacked(server, tmp_path):
    one = entry(server.put("/w.zip", archive(**{"w.h5": bytes(32 << 20)})), file="w.h5")
    with pytest.raises(FetchError, match="swells to many times its size"):
        fetch(one, tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("content", [b"no archive", archive(**{"other.h5": b"x"})])
def test_an_archive_without_the_file_is_refused(server, tmp_path, content):
    with pytest.raises(FetchError, match=r"not an archive with w\.h5"):
        fetch(entry(server.put("/w.zip", content), file="w.h5"), tmp_path)
    assert files(tmp_path) == []


def hub_entry(server, *ways, sha256=SHA256, content=CONTENT):
    path = "/kattn/test/resolve/main/model.safetensors"
    server.put(path, content, *(ways or (f"hub {sha256}",)))
    return entry(hub="kattn/test", file="model.safetensors", sha256=""), path


@pytest.fixture
def hub(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    return server


def test_the_hub_is_asked_once(hub, tmp_path):
    one, path = hub_entry(hub)
    assert fetch(one, tmp_path).read_bytes() == CONTENT
    asked = len(hub.asked)
    assert fetch(one, tmp_path).read_bytes() == CONTENT
    assert len(hub.asked) == asked and len(hub.gets(path)) == 1


def test_what_is_not_on_the_hub_is_said(hub, tmp_path):
    one = entry(hub="kattn/none", file="model.safetensors", sha256="")
    with pytest.raises(FetchError, match=r"kattn/none.*kattn.zoo.info"):
        fetch(one, tmp_path)


def test_a_file_that_is_not_what_the_hub_states_is_refused(hub, tmp_path):
    one, _ = hub_entry(hub, content=CONTENT[::-1])
    with pytest.raises(FetchError, match="not the hash that the hub states"):
        fetch(one, tmp_path)
    with pytest.raises(FetchError, match="not the hash that the hub states"):  # nor is it used the next time
        fetch(one, tmp_path)


def test_a_corrupted_file_of_the_hubs_cache_is_fetched_anew(hub, tmp_path):
    one, _ = hub_entry(hub)
    path = fetch(one, tmp_path)
    path.resolve().write_bytes(b"broken")
    assert fetch(one, tmp_path).read_bytes() == CONTENT


def test_weights_of_the_package_are_checked_too(monkeypatch, tmp_path):
    (tmp_path / "w.weights.h5").write_bytes(CONTENT)
    monkeypatch.setattr(manifest.resources, "files", lambda _: tmp_path)
    one = entry(file="w.weights.h5")
    assert fetch(one).read_bytes() == CONTENT
    for broken in (dataclasses.replace(one, hash="sha256:" + "0" * 64), dataclasses.replace(one, file="none.h5")):
        with pytest.raises(FetchError, match="Install kattn anew"):
            fetch(broken)


def test_a_second_process_waits_for_the_first(server, tmp_path):
    one = entry(server.put("/w.h5", CONTENT, "stall 0.2", "whole"))
    thread = threading.Thread(target=fetch, args=(one, tmp_path))
    thread.start()
    time.sleep(0.05)
    assert fetch(one, tmp_path).read_bytes() == CONTENT
    thread.join()
    assert len(server.gets("/w.h5")) == 2  # the stall and its repetition, by one of the two


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_a_weak_hash_is_said_and_the_first_download_is_recorded_beside_it(algorithm, server, tmp_path):
    digits = hashlib.new(algorithm, CONTENT).hexdigest()[: 8 if algorithm == "sha256" else None]
    one = dataclasses.replace(entry(server.put("/w.h5", CONTENT), sha256=""), hash=f"{algorithm}:{digits}")
    assert "weak hash: the source states only" in one.facts()["verified"]
    fetch(one, tmp_path)
    record = json.loads(cache.record_path(one, tmp_path).read_text())
    assert record["sha256"] == SHA256
    cache.record_path(one, tmp_path).write_text(json.dumps(record | {"sha256": "0" * 64}))
    with pytest.raises(cache.Damaged, match=r"not the file of .*, when it was first used"):
        cache.check(cache.place(one, tmp_path), one, tmp_path)


def test_a_whole_hash_is_not_called_weak():
    assert dataclasses.replace(entry("x"), hash=f"sha256:{SHA256}").facts()["verified"] == "no"
    assert entry("x", sha256="").facts()["verified"] == "no"
    weak = [one for rows in manifest.entries().values() for one in rows.values() if one.weak_hash]
    assert len(weak) == 19 and all(not one.local for one in weak)
