"""The description of the interface holds: schemathesis sends what it allows, and what it forbids."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.server import Server

TOOL = Path(sys.executable).with_name("schemathesis")
EXCEPTED = "positive_data_acceptance"
"""A string of bytes is no image, which a schema cannot say."""


@pytest.mark.slow
@pytest.mark.skipif(not TOOL.exists(), reason="needs schemathesis")
def test_answers_are_those_that_are_described(server: Server, tmp_path: Path) -> None:
    version = server.get("/v1/models").json["models"][0]["version"]
    config = tmp_path / "schemathesis.toml"
    config.write_text(f'[parameters]\n"path.name" = "digits"\n"path.version" = "{version}"\n')
    address = f"http://127.0.0.1:{server.port}/openapi.json"
    options = ["--max-examples", "30", "--exclude-checks", EXCEPTED]
    command = [TOOL, "--config-file", config, "run", address, *options]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    )
    assert done.returncode == 0, done.stdout[-3000:]
    shutil.rmtree(tmp_path / ".hypothesis", ignore_errors=True)
