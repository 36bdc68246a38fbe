"""Pages in a real browser: no violation of the accessibility rules of axe-core, light and dark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import convnet
from convnet.workflows.details import details_of
from convnet.workflows.evaluate import evaluate_run
from convnet.workflows.review import review_labels
from tests.conftest import PHOTOS

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("accessible")
    options: dict[str, Any] = {"epochs": 2, "model": "small-convnet", "weights": None, "split": {"val": 0.3}}
    run = convnet.train(PHOTOS, out=root / "run", **options, preprocess={"image_size": 32})
    run.report()
    photo = next(iter(sorted(PHOTOS.rglob("*.jpg"))))
    measured = evaluate_run(run, PHOTOS)
    details = details_of(measured, full=True, against=measured, unknown=str(PHOTOS))
    done = convnet.compare("digits", {"optimizer": ["adam", "sgd"]}, epochs=1, out=root / "two")
    return {
        "report": run.path / "report.html",
        "explain": convnet.explain(run, photo, neighbors=3).write(root / "explain"),
        "evaluation": measured.write(root / "evaluation", details),
        "review": review_labels(run).write(root / "review"),
        "compare": done.page,
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report", "explain", "evaluation", "review", "compare"])
def test_no_violations(pages: dict[str, Path], browser: Any, name: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for width in (400, 1400):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.goto(pages[name].as_uri())
        found = axe.run(page).response["violations"]
        assert not [(rule["id"], [node["html"][:120] for node in rule["nodes"][:3]]) for rule in found]
        page.close()


@pytest.mark.parametrize("name", ["report", "explain", "evaluation"])
def test_the_contents_lead_to_the_sections(pages: dict[str, Path], browser: Any, name: str) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(pages[name].as_uri())
    targets = page.eval_on_selector_all("nav.contents a", "links => links.map(a => a.getAttribute('href'))")
    assert len(targets) > 2 and len(set(targets)) == len(targets)
    assert all(page.locator(target).count() == 1 for target in targets)
    assert all(page.eval_on_selector_all("img", "images => images.map(image => image.alt)"))
    page.close()
