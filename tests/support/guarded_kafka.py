"""A Kafka that asks for a user and a password, and lets each user do what they may."""

from enum import IntEnum
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import on_asyncio

PASSWORD = "hunter2-is-secret"
SUPER_USER, GUEST, CLERK = "alice", "guest", "clerk"

LITERAL, PREFIX, ALLOW = 3, 4, 3


class Resource(IntEnum):
    """Kafka's numbers of what one may have rights on."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5


class Right(IntEnum):
    """Kafka's numbers of operations."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DESCRIBE = 8
    IDEMPOTENT_WRITE = 12


def guarded_kafka() -> EmbeddedKafka:
    """Return a Kafka whose `SUPER_USER` may do all, `GUEST` nothing, `CLERK` what `grant` says."""
    users = " ".join(f'user_{name}="{PASSWORD}"' for name in (SUPER_USER, GUEST, CLERK))
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


def login_of(client: str, user: str = SUPER_USER, password: str = PASSWORD) -> dict[str, Any]:
    """Return the arguments with which a `KafkaProducer`, say, logs in over this client."""
    if client == "aiokafka":
        return login(user, password)
    return {
        "client_options": {
            "security.protocol": "sasl_plaintext",
            "sasl.mechanism": "PLAIN",
            "sasl.username": user,
            "sasl.password": password,
        }
    }


async def grant(
    kafka: EmbeddedKafka, resource: Resource, name: str, *rights: Right, is_prefix: bool = False
) -> None:
    """Let `CLERK` do this with a topic, a group, or the cluster ("kafka-cluster")."""
    pattern = PREFIX if is_prefix else LITERAL

    async def ask() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers, **login())
        await admin.start()
        try:
            for right in rights:
                what = resource.value, name, pattern, f"User:{CLERK}", "*", right.value, ALLOW
                answer = await admin._send_request(CreateAclsRequest(*what))
                assert [error for error, _ in answer.creation_responses] == [0]
        finally:
            await admin.close()

    await on_asyncio(ask())
