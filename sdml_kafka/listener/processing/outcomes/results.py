"""How the handler of a record has ended, where it did not simply return."""

from attrs import frozen

from sdml_kafka.listener.processing.job import Job

Failure = tuple[Job, Exception]


@frozen
class Failed:
    """Stands for the result of a handler that raised."""

    error: Exception


class Given:
    """Stands for the result of a handler whose record is to be given back."""


GIVEN_BACK = Given()


class Left:
    """Stands for the result of a handler that was not called, since its record did not parse."""


LEFT_OUT = Left()
