"""The public names and signatures are those that `public_api.txt` holds."""

from difflib import unified_diff
from pathlib import Path

from tests.support.public_api import public_api

RECORDED = Path(__file__).with_name("public_api.txt")


def test_the_public_names_and_their_signatures_are_the_recorded_ones() -> None:
    recorded = RECORDED.read_text().splitlines()
    difference = list(unified_diff(recorded, public_api().splitlines(), "recorded", "now", n=0))
    assert not difference, "\n".join(["the public API has changed:", *difference])
