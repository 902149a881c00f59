"""What a server counts while it runs."""

from attrs import define, field

MAX_STATUSES = 100


@define(eq=False)
class Counts:
    requests: int = 0
    replies: int = 0
    one_way: int = 0
    expired: int = 0
    errors: dict[str, int] = field(factory=dict[str, int])
    """By status."""
    refused_topics: int = 0
    undeliverable: int = 0
    duplicates: int = 0
    cancelled: int = 0
    unknown_cancels: int = 0
    in_flight: int = 0
    """Requests that were started, or answered without, and have not finished."""

    def error(self, status: str) -> None:
        if status not in self.errors and len(self.errors) >= MAX_STATUSES:
            status = "other"
        self.errors[status] = self.errors.get(status, 0) + 1
