"""What the harness says and does before a service runs."""

from pathlib import Path

import pytest

from tests.interop.harness.building import SERVICES, TOOLS, CannotBuild, built, digest_of


@pytest.mark.parametrize("service", TOOLS)
def test_a_tool_that_is_missing_is_named(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CannotBuild, match=f"{service} service needs {TOOLS[service][0]}"):
        built(service)


def test_other_sources_have_another_place_in_the_cache(tmp_path: Path) -> None:
    file = tmp_path / "inner" / "file"
    file.parent.mkdir()
    digests = {digest_of(tmp_path)}
    for content in (b"1", b"2"):
        file.write_bytes(content)
        digests.add(digest_of(tmp_path))
    file.rename(tmp_path / "file")
    assert len(digests | {digest_of(tmp_path)}) == 4


def test_each_service_has_sources() -> None:
    assert {folder.name for folder in SERVICES.iterdir()} == TOOLS.keys()
