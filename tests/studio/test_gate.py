"""Who may use the studio, and what its answers allow."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus

from tests.studio.studio import StudioProcess


def test_the_token_becomes_a_cookie_and_leaves_the_address(studio: StudioProcess) -> None:
    answer = studio.request("GET", f"/?token={studio.token}&x=1", headers={})
    assert (answer.status, answer.headers["location"]) == (303, "/?x=1")
    cookie = answer.headers["set-cookie"]
    assert studio.token in cookie and "HttpOnly" in cookie and "samesite=strict" in cookie.lower()


@pytest.mark.parametrize("path", ["/", "/api/runs", "/static/studio.js", "/?token=wrong"])
def test_without_the_token_nothing_is_answered(studio: StudioProcess, path: str) -> None:
    for headers in ({}, {"Cookie": f"convnet-studio-{studio.port}=wrong"}, {"Cookie": "a=\udcff"[:2]}):
        answer = studio.request("GET", path, headers=headers)
        assert answer.status == 401 and studio.token not in str(answer)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80"])
def test_other_hosts_are_refused(studio: StudioProcess, host: str) -> None:
    assert studio.request("GET", "/api/runs", headers={**studio.headers, "Host": host}).status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", None])
def test_other_origins_change_nothing(studio: StudioProcess, origin: str | None) -> None:
    headers = {name: value for name, value in studio.headers.items() if name != "Origin"}
    headers |= {"Content-Type": "application/json"} | ({} if origin is None else {"Origin": origin})
    for path in ("/api/jobs", "/api/runs/empty-trash", "/api/uploads?name=a.zip"):
        assert studio.request("POST", path, b'{"word": "digits"}', headers).status == 403
    assert studio.get("/api/jobs") is not None


@pytest.mark.parametrize("changed", [{"Origin": "http://evil.example"}, {"Cookie": "a=b"}, {"Host": "evil"}])
def test_sockets_of_others_are_refused(studio: StudioProcess, changed: dict[str, str]) -> None:
    with (
        pytest.raises(InvalidStatus, match="403"),
        studio.socket("/api/plane", **changed),
    ):
        raise AssertionError("the socket was opened")


def test_pages_run_no_script_from_elsewhere(studio: StudioProcess) -> None:
    for path in ("/", "/static/studio.js", "/api/runs"):
        answer = studio.request("GET", path)
        policy = answer.headers["content-security-policy"]
        assert (
            "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
    report = studio.request("GET", "/api/runs/report?run=digits-run")
    assert report.headers["content-security-policy"].startswith("sandbox ") and report.status == 200
    assert "allow-same-origin" not in report.headers["content-security-policy"]


def test_requests_that_are_too_large_are_refused(studio: StudioProcess) -> None:
    headers = {**studio.headers, "Content-Type": "application/json"}
    for more in ({"Content-Length": str(9 << 20)}, {"Transfer-Encoding": "chunked"}, {"Content-Length": "x"}):
        answer = studio.request("POST", "/api/recipe", None, {**headers, **more})
        assert answer.status in (400, 413), answer.body


@pytest.mark.parametrize(
    "word", ["/etc/passwd", "../..", "/", "runs/../../..", "\0", "~root", "x" * 5000, "file:///etc", ""]
)
def test_only_the_folders_given_are_read(studio: StudioProcess, word: str) -> None:
    for path, name in (("/api/recipe", "word"), ("/api/jobs", "word"), ("/api/data/audit", "data")):
        assert studio.error(path, **{name: word})


@pytest.mark.parametrize("name", ["../photos", "..", "/etc", "nothing", "", "digits-run/checkpoints", "\0"])
def test_only_runs_are_opened(studio: StudioProcess, name: str) -> None:
    for path in ("/api/runs/delete", "/api/runs/export", "/api/resume"):
        assert studio.error(path, run=name)
    assert studio.error("/api/runs/restore", trash=name)
    assert studio.error("/api/runs/serve", bundle=name)
    assert (studio.folder / "photos").is_dir()
