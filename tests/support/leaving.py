"""How a member in a process of its own ends by plan."""

import signal

import anyio

from sdml_kafka import KafkaListener


async def stay_until_sigterm(listener: KafkaListener) -> None:
    """Enter the listener, say "ready", and leave it at a SIGTERM.

    A cancellation would wait for no handler.
    """
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async with listener:
            print("ready", flush=True)
            await anext(signals)
