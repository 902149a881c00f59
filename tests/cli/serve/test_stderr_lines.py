"""Lines out of what a program writes to stderr."""

from sdml_kafka.cli.serve.stderr_lines import StderrLines


def test_lines_of_any_length_in_pieces_of_any_size() -> None:
    lines = StderrLines()
    shown = [*lines.feed(b"a\nb"), *lines.feed(b"c\n" + b"d" * 2500), *lines.rest()]
    assert shown == ["a", "bc", "d" * 1000, "d" * 1000, "d" * 500]
    assert list(lines.rest()) == []
