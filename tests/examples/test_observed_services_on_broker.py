"""The observed services run as their readers run them: as programs, beside the one they ask."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.example_programs import EXAMPLES, running
from tests.support.kafka_from_outside import create_topic

pytestmark = [pytest.mark.broker, pytest.mark.timeout(150)]

PATIENCE_S = 45.0
SERVICES = "observed_service", "observed_service_trio"


def ended(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """End the program with Ctrl-C, and return the spans that it has printed."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 0, err
    decoder, spans, at = json.JSONDecoder(), [], 0
    while (start := re.compile(r"^\{", re.MULTILINE).search(out, at)) is not None:
        span, at = decoder.raw_decode(out, start.start())
        spans.append(span)
    return spans


def asked(process: subprocess.Popen[str], url: str, wanted: Callable[[Any], bool]) -> Any:
    """Ask again and again, until the answer is the wanted one."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = httpx.get(url, timeout=10.0)
        except httpx.TransportError:  # not there yet
            pass
        else:
            if wanted(answer):
                return answer
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"no such answer from {url}: {process.communicate()}", pytrace=False)


@pytest.fixture(scope="module")
def bootstrap(embedded_kafka: EmbeddedKafka) -> str:
    """The address of a Kafka with the topics, so that the programs are ready at once."""
    for topic in ("sales", "quotes"):  # which other tests may have created
        asyncio.run(create_topic(embedded_kafka.bootstrap_servers, topic))
    return embedded_kafka.bootstrap_servers


@pytest.mark.parametrize("name", SERVICES)
def test_an_order_is_billed_and_seen(bootstrap: str, name: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    shop_program = running(f"{name}.py", bootstrap, str(port))
    with running("price_server.py", bootstrap) as prices, shop_program as shop:
        assert prices.stdout is not None
        assert prices.stdout.readline() == "answers\n"
        ready = asked(shop, f"{url}/ops/ready", lambda answer: answer.status_code == 200).json()
        assert ready["objects"].keys() == {"listener", "rpc", "producer"}
        assert httpx.get(f"{url}/ops/live").json()["live"]
        assert httpx.post(f"{url}/orders", json={"item": "bread"}).status_code == 202
        asked(shop, f"{url}/bills", lambda answer: answer.json() == {"bread": 3})
        status = httpx.get(f"{url}/ops/status.json").json()
        metrics = httpx.get(f"{url}/ops/metrics").text
        page = httpx.get(f"{url}/ops", follow_redirects=True)
        script = httpx.get(page.url.join("page.js"))
        spans, theirs = ended(shop), ended(prices)
    listener, rpc, producer = status["objects"]
    assert [each["name"] for each in listener["processors"]] == ["make_app.<locals>.bill"]
    assert rpc["counters"]["calls"] >= 1
    assert producer["counters"]["sent"] >= 1
    assert 'sdml_kafka_call_seconds_count{outcome="ok",topic="quotes"} 1.0' in metrics
    assert page.status_code == script.status_code == 200
    assert '<main id="objects">' in page.text
    assert "status.json" in script.text
    traces = {each["name"]: each["context"]["trace_id"] for each in (*spans, *theirs)}
    steps = "send sales", "process sales", "request quotes", "process quotes"
    assert len({traces[step] for step in steps}) == 1  # over both processes


@pytest.mark.parametrize("name", SERVICES)
def test_it_takes_less_than_60_lines(name: str) -> None:
    _, _, code = (EXAMPLES / f"{name}.py").read_text().split('"""', 2)
    assert len([line for line in code.splitlines() if line.strip()]) < 60
