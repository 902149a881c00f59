"""Texts that are safe to show on a terminal: nothing from the wire acts on it."""

_SURROGATES = range(0xD800, 0xE000)
"""Halves of characters, as `surrogateescape` leaves behind of wrong bytes. No file takes them."""
_DIRECTIONS = (*range(0x2028, 0x202F), *range(0x2066, 0x206A))
"""Line ends of Unicode, and what has the text behind it shown in another order."""
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    code: f"\\u{code:04x}" for code in (*_SURROGATES, *_DIRECTIONS)
}
_ESCAPES_IN_LINES = {code: to for code, to in _ESCAPES.items() if code not in (0x09, 0x0A)}


def one_line(text: object) -> str:
    """Return the text with line ends as spaces and other control characters escaped."""
    return str(text).replace("\n", " ").translate(_ESCAPES)


def several_lines(text: str) -> str:
    """Return the text with control characters escaped, but for line ends and tabs."""
    return text.translate(_ESCAPES_IN_LINES)


def printable(data: bytes) -> str:
    """Return the bytes as text that is safe to show on a terminal.

    Control characters other than line ends and tabs are escaped, and so are bytes that are not
    UTF-8.
    """
    return several_lines(data.decode("utf-8", "backslashreplace"))
