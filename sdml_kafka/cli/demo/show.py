"""What the demo needs of whatever shows it."""

from typing import Protocol

from sdml_kafka.cli.demo.closing import Closing
from sdml_kafka.cli.demo.scene import Line, Scene


class Show(Protocol):
    def starting(self, text: str) -> None:
        """Before anything can be shown. From any thread."""

    def line(self, line: Line) -> None:
        """Something happened."""

    def update(self, scene: Scene) -> None:
        """Several times a second."""

    def close(self) -> None:
        """Leave the terminal as it was. Again is harmless."""

    def books(self, closing: Closing) -> None:
        """The outcome; nothing moves any more."""
