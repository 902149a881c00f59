"""A Kafka that asks for a user and a password, and lets one of its users do nothing."""

from typing import Any

from sdml_kafka.testing import EmbeddedKafka

PASSWORD = "hunter2-is-secret"
SUPER_USER, GUEST = "alice", "guest"


def guarded_kafka() -> EmbeddedKafka:
    """Return a Kafka with two users: `SUPER_USER` may do everything, `GUEST` nothing."""
    users = " ".join(f'user_{name}="{PASSWORD}"' for name in (SUPER_USER, GUEST))
    return EmbeddedKafka(
        properties={
            "listener.security.protocol.map": (
                "PLAINTEXT:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"
            ),
            "listener.name.plaintext.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.plaintext.plain.sasl.jaas.config": (
                f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:{SUPER_USER}",
            "auto.create.topics.enable": "false",
        }
    )


def login(user: str = SUPER_USER, password: str = PASSWORD) -> dict[str, Any]:
    """Return the options with which an aiokafka client logs in."""
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": user,
        "sasl_plain_password": password,
    }
