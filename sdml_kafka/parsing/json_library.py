"""The JSON decoder behind `parse_json`: the fastest of those that are installed.

All of them accept the same documents: what msgspec or pydantic refuses (`NaN`, UTF-16, half of a
surrogate pair, a number that is no finite float) is left to the standard library to decide.
"""

import json
from collections.abc import Callable
from typing import Any

_decode: Callable[[bytes], Any] | None = None
_name: str = ""


def json_library() -> str:
    """Return which library `parse_json` decodes with.

    Returns:
        `"msgspec"` if it is installed, else `"pydantic_core"` if that is, else `"json"`.
    """
    if _decode is None:
        _choose()
    return _name


def decode_json(document: bytes) -> Any:
    """Return what a JSON document stands for.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        return (_decode or _choose())(document)
    except Exception:  # of whichever library: the standard one decides, and raises ValueError
        return json.loads(document)


def _choose() -> Callable[[bytes], Any]:
    """Import the decoder with the first document, so that importing this package stays cheap."""
    global _decode, _name
    try:
        import msgspec

        _name, _decode = "msgspec", msgspec.json.decode
    except ImportError:
        try:
            import pydantic_core

            _name, _decode = "pydantic_core", pydantic_core.from_json
        except ImportError:
            _name, _decode = "json", json.loads
    return _decode
