"""Pages on a narrow screen, in a real browser: nothing is cut off, and text can be read."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import convnet
from convnet.reports.architecture import write_summary_page
from convnet.reports.audit_page import write_audit_page
from convnet.reports.prediction_page import write_prediction_page
from convnet.workflows.evaluate import evaluate_run
from tests.conftest import PHOTOS

CHROMIUM = shutil.which("chromium")
WIDTH, SMALLEST = 400, 11
MEASURE = """<style>body { width: %dpx; }</style><script>
addEventListener("load", () => {
  const all = [...document.querySelectorAll("main *")];
  const right = element => element.getBoundingClientRect().right;
  const outside = all.filter(e => !e.closest(".scroll") && e.offsetWidth && right(e) > %d.5);
  const texts = all.filter(e => e.innerText && e.innerText.trim());
  const sizes = texts.map(e => parseFloat(getComputedStyle(e).fontSize));
  const charts = [...document.querySelectorAll(".charts img")];
  sizes.push(...charts.map(e => e.width / e.naturalWidth * 10 * 96 / 72));
  const found = [outside.map(e => e.tagName + " " + e.textContent), Math.min(...sizes), charts.length];
  document.title = JSON.stringify(found);
});</script>"""
"""The title becomes: what is cut off, the smallest text in pixels (charts have 10 points), the charts."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind."""
    root = tmp_path_factory.mktemp("pages")
    shared = {"epochs": 1, "model": "linear", "preprocess": {"image_size": 32}, "split": {"val": 0.3}}
    run = convnet.train(PHOTOS, out=root / "run", **shared)
    done = convnet.compare(PHOTOS, {"optimizer": ["adam", "sgd"]}, seeds=2, out=root / "two", **shared)
    write_audit_page(root / "audit.html", convnet.audit(PHOTOS, check_labels=False))
    table = convnet.summary(run.model, run.data["shape"])
    write_summary_page(table, root / "summary.html")
    evaluate_run(run, PHOTOS).write(root / "evaluation")
    files = run.predictor.files(PHOTOS)
    kept = list(run.predictor.iter_predictions(files))
    write_prediction_page(root / "predictions.html", str(run.path), kept, files)
    tiny = {"name": "temporal", "width": 4, "depth": 1}
    waves = np.sin(np.arange(30) * np.linspace(0.1, 0.6, 40)[:, None])
    np.savez(root / "waves.npz", x=waves, y=np.repeat(["slow", "fast"], 20))
    series = convnet.train(str(root / "waves.npz"), epochs=1, model=tiny, out=root / "series")
    codes = convnet.train("autoencoder-digits", epochs=1, out=root / "codes")
    found = {
        "report": run.path / "report.html",
        "compare": done.page,
        "evaluation": root / "evaluation" / "evaluation.html",
        "series": series.path / "report.html",
        "codes": codes.path / "report.html",
    }
    return found | {name: root / f"{name}.html" for name in ("audit", "summary", "predictions")}


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize(
    "name, charts",
    [
        ("report", 7),
        ("compare", 3),
        ("audit", 0),
        ("summary", 0),
        ("evaluation", 4),
        ("predictions", 0),
        ("series", 13),
        ("codes", 5),
    ],
)
def test_a_narrow_page(pages: dict[str, Path], tmp_path: Path, name: str, charts: int) -> None:
    page = tmp_path / "page.html"
    page.write_text(pages[name].read_text().replace("</main>", "</main>" + MEASURE % (WIDTH, WIDTH)))
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    )
    done = subprocess.run(
        [str(CHROMIUM), *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    printed = re.search(r"<title>(\[.*?)</title>", done.stdout, re.DOTALL)
    assert printed is not None, done.stderr[-500:]
    cut_off, smallest, drawn = json.loads(html.unescape(printed[1]))
    assert not cut_off
    assert smallest >= SMALLEST and drawn == charts
