"""Plans: the options of calls, checked once and turned into what each call needs of them."""

from collections.abc import Callable, Sequence

from attrs import frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.rpc.client.building.request_dialects import RequestDialect
from sdml_kafka.rpc.client.expectations import Expectation, Expectations
from sdml_kafka.rpc.client.request_options import CallOptions, check_timeout, in_bytes, in_ms
from sdml_kafka.rpc.dialects.messages import Headers
from sdml_kafka.rpc.dialects.native import request_headers

MAX_PLANS = 1000


@frozen(eq=False)
class Plan:
    """The common part of calls with the same options."""

    expectation: Expectation
    timeout_s: float
    id_name: str | None
    """The header that carries the id; None when the key alone does."""
    id_is_key: bool
    headers_with: Callable[[float], Headers]
    """Returns all headers but that of the id, for a timeout in seconds."""
    headers: Headers
    """All headers but that of the id, for `timeout_s`."""


class CallPlans:
    """Makes plans, and keeps those that can be used again."""

    def __init__(self, expectations: Expectations, dialect: RequestDialect) -> None:
        self._expectations = expectations
        self.dialect: RequestDialect = dialect
        self.kept: dict[CallOptions, Plan] = {}
        """The plans of options without headers and reply topics, which may change unnoticed."""

    def make(self, options: CallOptions) -> Plan:
        """Check the options and make their plan; raise ConfigurationError for wrong ones."""
        timeout_s = check_timeout(options.timeout_s)
        expectation = self._expectations.of(options.expect_type)
        id_name, id_is_key = self.dialect.where_id_travels(options)
        reply_to = options.reply_to
        extra: Headers = ()
        if options.headers is not None:
            extra, named = self.dialect.own_headers(options.headers)
            reply_to = [*named, *_as_topics(reply_to or ())] or None
        topics = self.dialect.reply_to_headers(_reply_topics(expectation, reply_to))

        def headers_with(timeout_s: float) -> Headers:
            return request_headers(None, None, topics, in_ms(timeout_s), extra)

        plan = Plan(
            expectation,
            timeout_s,
            id_name,
            id_is_key,
            headers_with,
            headers_with(timeout_s),
        )
        if options.headers is None and options.reply_to is None:
            if len(self.kept) >= MAX_PLANS:
                self.kept.clear()
            self.kept[options] = plan
        return plan

    def forget_all(self) -> None:
        """Drop all plans: after a rebalance the client's own partition may be another."""
        self.kept.clear()


def _reply_topics(expectation: Expectation, asked: Sequence[str] | None) -> tuple[str, ...]:
    if asked is None:
        return (next(iter(expectation.specs)),)
    topics = tuple(in_bytes("req_headers_reply_to", name).decode() for name in _as_topics(asked))
    if not any(topic in expectation.specs for topic in topics):
        raise ConfigurationError(
            f"req_headers_reply_to is {list(topics)}: none of these is a topic from which this "
            f"client takes such replies ({', '.join(sorted(expectation.specs))})"
        )
    return topics


def _as_topics(names: Sequence[str]) -> Sequence[str]:
    # A single name is a sequence as well: of its letters.
    return (names,) if isinstance(names, str) else names
