"""Names of librdkafka's options: which mean the same, which are refused, which are aiokafka's."""

from collections.abc import Mapping

ALIASES: Mapping[str, str] = {
    "acks": "request.required.acks",
    "compression.type": "compression.codec",
    "delivery.timeout.ms": "message.timeout.ms",
    "linger.ms": "queue.buffering.max.ms",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes": "fetch.message.max.bytes",
    "retries": "message.send.max.retries",
    "sasl.mechanism": "sasl.mechanisms",
}
"""Options that librdkafka has under two names."""

SECRET_ENDINGS = (
    "password",
    "secret",
    ".pem",
    "passphrase",
    "sasl.oauthbearer.config",
    "sasl.jaas.config",
)
"""The endings of options whose values are secrets."""

CLASSIC_GROUPS = frozenset(
    {
        "session.timeout.ms",
        "heartbeat.interval.ms",
        "partition.assignment.strategy",
        "group.protocol.type",
    }
)
"""Options of the classic group protocol, which are the broker's in KIP-848."""

DURATIONS = frozenset(
    {
        "delivery.timeout.ms",
        "max.poll.interval.ms",
        "message.timeout.ms",
        "reconnect.backoff.max.ms",
        "session.timeout.ms",
        "socket.timeout.ms",
        "transaction.timeout.ms",
    }
)
"""Options in milliseconds that the package reckons with. librdkafka takes `300s` for 300 ms."""

WORDS = frozenset({"auto.offset.reset", "isolation.level"})
"""Options that the package compares. librdkafka takes them in capital letters as well."""

_COMMITS = (
    "the package commits by itself, what has finished and nothing else: see auto_commit=. False "
    "leaves it to commit()"
)
_SET_BY_US = "the package sets it itself"
REFUSED: Mapping[str, str] = {
    "bootstrap.servers": "give bootstrap_servers",
    "metadata.broker.list": "give bootstrap_servers",
    "group.id": "give group_id",
    "enable.auto.commit": _COMMITS,
    "auto.commit.enable": _COMMITS,
    "auto.commit.interval.ms": _COMMITS,
    "enable.auto.offset.store": _COMMITS,
    "offset.store.method": _COMMITS,
    "offset.store.path": _COMMITS,
    "offset.store.sync.interval.ms": _COMMITS,
    "transactional.id": "give transactional_id to KafkaProducer; processors have ids of their own",
    "delivery.report.only.error": "each record's outcome is reported",
    "enable.gapless.guarantee": "one record that the broker refuses would end the producer",
    "queuing.strategy": "a partition keeps the order of the calls",
    "allow.auto.create.topics": "records of a producer create topics, where the broker does so",
    "topic.blacklist": "topics that are subscribed to are read",
    **dict.fromkeys(
        (
            "background_event_cb",
            "closesocket_cb",
            "connect_cb",
            "consume_cb",
            "default.topic.config",
            "default_topic_conf",
            "dr_cb",
            "dr_msg_cb",
            "enabled_events",
            "error_cb",
            "interceptors",
            "log.queue",
            "log_cb",
            "logger",
            "msg_order_cmp",
            "oauthbearer_token_refresh_cb",
            "offset_commit_cb",
            "on_commit",
            "on_delivery",
            "opaque",
            "open_cb",
            "partitioner_cb",
            "rebalance_cb",
            "resolve_cb",
            "socket_cb",
            "stats_cb",
            "throttle_cb",
        ),
        _SET_BY_US,
    ),
}
"""The options that nobody may give, and why."""

OF_AIOKAFKA: Mapping[str, str] = {
    "acks": "acks",
    "check_crcs": "check.crcs",
    "client_id": "client.id",
    "client_rack": "client.rack",
    "compression_type": "compression.type",
    "connections_max_idle_ms": "connections.max.idle.ms",
    "enable_idempotence": "enable.idempotence",
    "fetch_max_bytes": "fetch.max.bytes",
    "fetch_max_wait_ms": "fetch.wait.max.ms",
    "fetch_min_bytes": "fetch.min.bytes",
    "group_instance_id": "group.instance.id",
    "heartbeat_interval_ms": "heartbeat.interval.ms",
    "isolation_level": "isolation.level",
    "linger_ms": "linger.ms",
    "max_batch_size": "batch.size",
    "max_partition_fetch_bytes": "max.partition.fetch.bytes",
    "max_poll_interval_ms": "max.poll.interval.ms",
    "max_request_size": "message.max.bytes",
    "metadata_max_age_ms": "topic.metadata.refresh.interval.ms",
    "partition_assignment_strategy": "partition.assignment.strategy",
    "rebalance_timeout_ms": "max.poll.interval.ms",
    "request_timeout_ms": "socket.timeout.ms",
    "retry_backoff_ms": "retry.backoff.ms",
    "sasl_kerberos_service_name": "sasl.kerberos.service.name",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_oauth_token_provider": "oauth_cb",
    "sasl_plain_password": "sasl.password",
    "sasl_plain_username": "sasl.username",
    "security_protocol": "security.protocol",
    "session_timeout_ms": "session.timeout.ms",
    "ssl_context": "ssl.ca.location",
    "transaction_timeout_ms": "transaction.timeout.ms",
}
"""librdkafka's name for options of aiokafka."""

KNOWN = frozenset(
    {
        *ALIASES,
        *ALIASES.values(),
        *CLASSIC_GROUPS,
        *OF_AIOKAFKA.values(),
        *REFUSED,
        "auto.offset.reset",
        "batch.num.messages",
        "broker.address.family",
        "client.dns.lookup",
        "compression.level",
        "debug",
        "enable.ssl.certificate.verification",
        "group.protocol",
        "group.remote.assignor",
        "log_level",
        "partitioner",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "receive.message.max.bytes",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "retry.backoff.max.ms",
        "sasl.oauthbearer.method",
        "socket.connection.setup.timeout.ms",
        "socket.keepalive.enable",
        "ssl.ca.location",
        "ssl.ca.pem",
        "ssl.certificate.location",
        "ssl.certificate.pem",
        "ssl.crl.location",
        "ssl.endpoint.identification.algorithm",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.location",
        "ssl.keystore.password",
        "statistics.interval.ms",
        "sticky.partitioning.linger.ms",
        "topic.metadata.propagation.max.ms",
    }
)
"""The names that a misspelt one may have meant."""
