"""The page of `aix-lsp inspect --html` in a real browser, without a screen."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from aix_lsp.completion import trace_html
from aix_lsp.types import Span
from tests.unit.traces import HOSTILE, log_of, offered, silent

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--hide-scrollbars", "--window-size=1200,900"),
)
WHITE_PAGE, DARK_PAGE = (0xF6, 0xF7, 0xF9), (0x12, 0x15, 0x1B)

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason=f"none of {', '.join(NAMES)} is on the PATH (as root, `make browser` installs chromium)"
)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Three requests, with a source that would like to be part of the page."""
    spans = (Span("cache", 0, 1), Span("retrieval", 1, 20), Span("decode", 20, 100))
    log = log_of(silent("why not"), offered(HOSTILE, spans=spans), offered("shown = first", "two", spans=spans))
    path = tmp_path / "why.html"
    path.write_bytes(trace_html.page(list(log), "process 1 of <b>").encode("utf-8", "replace"))
    return path


def browse(page: Path, tmp_path: Path, *options: str, fragment: str = "") -> str:
    assert BROWSER is not None
    command = [BROWSER, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *options, f"{page.as_uri()}{fragment}"]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.decode()


def test_what_is_quoted_stays_text_and_nothing_runs(page: Path, tmp_path: Path) -> None:
    seen = browse(page, tmp_path, "--dump-dom")
    assert "<script" not in seen
    assert "<img" not in seen
    assert "process 1 of &lt;b&gt;" in seen
    assert seen.count('<section class="request"') == 3
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;" in seen


@pytest.mark.parametrize(("scheme", "background"), [(1, WHITE_PAGE), (0, DARK_PAGE)], ids=["light", "dark"])
def test_it_is_drawn_in_the_colours_of_the_system(
    page: Path, tmp_path: Path, scheme: int, background: tuple[int, int, int]
) -> None:
    picture = tmp_path / "seen.png"
    browse(page, tmp_path, f"--screenshot={picture}", f"--blink-settings=preferredColorScheme={scheme}")
    with Image.open(picture) as image:
        drawn = image.convert("RGB")
        assert drawn.size[0] == 1200
        assert drawn.getpixel((5, drawn.size[1] - 5)) == background
        # text, bars and cards: a page without its styles has a few shades of grey alone
        colours = drawn.getcolors(1 << 20)
        assert colours is not None
        assert len(colours) > 100
        bars = {"light": (0x17, 0x8A, 0x55), "dark": (0x46, 0xC4, 0x8B)}["light" if scheme else "dark"]
        green = sum(count for count, colour in colours if colour == bars)
        assert green > 1_000  # the bar of the decoding, most of the time


def test_the_latest_request_is_seen_and_another_can_be_chosen(page: Path, tmp_path: Path) -> None:
    """A screenshot of each choice; the browser is not clicked, the page is told."""
    seen = []
    for number in (3, 1):
        chosen = tmp_path / f"chosen-{number}.html"
        text = page.read_text(encoding="utf-8").replace(" checked>", ">")
        chosen.write_text(text.replace(f'aria-label="request {number}">', f'aria-label="request {number}" checked>'))
        picture = tmp_path / f"{number}.png"
        browse(chosen, tmp_path, f"--screenshot={picture}")
        with Image.open(picture) as image:
            seen.append(image.convert("RGB").tobytes())
    first = tmp_path / "as-it-is.png"
    browse(page, tmp_path, f"--screenshot={first}")
    with Image.open(first) as image:
        assert image.convert("RGB").tobytes() == seen[0]
    assert seen[0] != seen[1]
