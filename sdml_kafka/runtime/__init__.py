"""Supervised actors on anyio. Knows nothing of Kafka, and is useful on its own."""

from sdml_kafka.runtime.actor import Actor, Life
from sdml_kafka.runtime.errors import (
    RestartsExhausted,
    RuntimeFailure,
    StartTimeout,
    SupervisorReused,
    UnaskedCancellation,
    UnexpectedExit,
)
from sdml_kafka.runtime.events import (
    ActorCrashed,
    ActorFinished,
    ActorRestarting,
    ActorStarted,
    ActorStopped,
    Event,
    RecentEvent,
    SupervisorGaveUp,
)
from sdml_kafka.runtime.mailbox import Mailbox
from sdml_kafka.runtime.restarts import Restarts, RestartType, Strategy
from sdml_kafka.runtime.scope import supervise
from sdml_kafka.runtime.snapshot import ActorSnapshot, ActorState
from sdml_kafka.runtime.spec import ChildSpec
from sdml_kafka.runtime.supervisor import Supervisor

__all__ = [
    "Actor",
    "ActorCrashed",
    "ActorFinished",
    "ActorRestarting",
    "ActorSnapshot",
    "ActorStarted",
    "ActorState",
    "ActorStopped",
    "ChildSpec",
    "Event",
    "Life",
    "Mailbox",
    "RecentEvent",
    "RestartType",
    "Restarts",
    "RestartsExhausted",
    "RuntimeFailure",
    "StartTimeout",
    "Strategy",
    "Supervisor",
    "SupervisorGaveUp",
    "SupervisorReused",
    "UnaskedCancellation",
    "UnexpectedExit",
    "supervise",
]
