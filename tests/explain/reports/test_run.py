"""The report of a run is one file that a browser shows without any other."""

import base64
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from kattn.explain import report
from kattn.runs.folder import RunError

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    """Written to where a link leads out of the folder."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "elsewhere.txt").write_text("mine")
    (folder / "report.html").symlink_to(folder / "elsewhere.txt")
    assert report(run, folder / "report.html", images=3, statistics_images=40) == folder / "report.html"
    return folder / "report.html"


def test_the_report_holds_everything_and_asks_for_nothing(page):
    text = page.read_text()
    parts = re.findall(r"<h2>(.*?)</h2>", text)
    assert parts == [
        "Run",
        "Training",
        "Confusion",
        "What it looks at",
        "How faithful the maps are",
        "Gates",
        "Class selectivity",
        "Export certificates",
    ]
    assert "small &lt;b&gt; on digits" in text and "<b>" not in text
    assert "1,234,567" in text and "not checked" in text and "5.0e-07" in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", text) and "<script" not in text
    assert len(re.findall(r"<img src=\"data:", text)) == 6
    assert len(re.findall(r"alt=\"[^\"]+\"", text)) == 6


def test_a_link_in_the_reports_place_is_replaced_and_not_followed(page):
    assert not page.is_symlink() and (page.parent / "elsewhere.txt").read_text() == "mine"
    assert {path.name for path in page.parent.iterdir()} == {"report.html", "elsewhere.txt"}


def test_names_of_classes_are_shown_as_they_are_and_every_picture_is_valid(page):
    text = page.read_text(encoding="utf-8")
    assert "\x1b" not in text
    urls = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text)
    drawn = [ElementTree.fromstring(base64.b64decode(url)) for url in urls]
    words = {element.text for svg in drawn for element in svg.iter() if element.tag.endswith("text")}
    assert {"cost_$5_to_$10_%", r"$\badcmd{x}$", "\ufffd[31mred", "caf\ufffd", "</td><b>"} <= words
    assert {"cost_$5_to_$10_%", "caf\ufffd"} <= set(re.findall(r"<td>(.*?)</td>", text))


def browse(*options):
    """Chromium without a window; gives its output and its messages."""
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *quiet, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return done.stdout, done.stderr


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_a_browser_shows_the_report(page, tmp_path):
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    picture = tmp_path / "seen.png"
    _, said = browse(
        profile, "--window-size=1000,3000", "--enable-logging=stderr", f"--screenshot={picture}", page.as_uri()
    )
    assert "Content Security Policy" not in said and "Refused" not in said
    with Image.open(picture) as file:
        seen = np.asarray(file.convert("RGB"))
    assert seen.shape[:2] == (3000, 1000)
    thirds = np.array_split(seen, 3)
    assert all(len(np.unique(part.reshape(-1, 3), axis=0)) > 100 for part in thirds)  # text and pictures all the way
    # A copy that may run a script tells what became of its pictures.
    probe = (
        "<script>addEventListener('load', () => { const p = document.createElement('pre'); p.id = 'probe';"
        "p.textContent = JSON.stringify({broken: [...document.images].filter(i => !i.naturalWidth).length,"
        "images: document.images.length, wide: document.documentElement.scrollWidth > innerWidth,"
        "asked: performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))});"
        "document.body.append(p); });</script></body>"
    )
    copy = tmp_path / "copy.html"
    text = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", page.read_text())
    copy.write_text(text.replace("</body>", probe))
    tree, _ = browse(profile, "--window-size=600,800", "--dump-dom", copy.as_uri())
    found = json.loads(re.search(r"<pre id=\"probe\">(.*?)</pre>", tree)[1])
    assert found == {"broken": 0, "images": 6, "wide": False, "asked": []}


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="no finished run"):
        report(tmp_path)
    with pytest.raises(ValueError, match="at least 1"):
        report(tmp_path, images=0)
