"""Print the list of jars of a version of Kafka, for `sdml_kafka/testing/embedded/kafka_jars/`.

    uv run python .ci/pin_kafka_jars.py 4.4.0 > sdml_kafka/testing/embedded/kafka_jars/4.4.0.txt

The list is the closure of Kafka's jar as jgo resolves it, and what writes its log.
"""

import hashlib
import re
import sys
import tempfile
from pathlib import Path

from jgo.maven import MavenContext, PythonResolver

HEADER = """\
# What Apache Kafka {version} needs to run, with SHA-256 and bytes: the closure of
# org.apache.kafka:kafka_2.13 as jgo resolves it, and {binding} for its log.
# Pinned, so that a first start reads no POMs and takes no jar that was changed.
# Written by .ci/pin_kafka_jars.py.
"""


def main(version: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        resolver = PythonResolver()
        context = MavenContext(resolver=resolver, repo_cache=Path(folder))
        kafka = context.create_dependency(f"org.apache.kafka:kafka_2.13:{version}")
        _, needed = resolver.get_dependency_list([kafka])
        jars = {
            jar.artifactId: jar for jar in (kafka.artifact, *(node.dep.artifact for node in needed))
        }
        binding = f"log4j-slf4j{'' if jars['slf4j-api'].version.startswith('1.') else '2'}-impl"
        # Resolved together with Kafka it would bring versions that its own parent prefers.
        log4j = jars["log4j-api"]
        coordinate = f"{log4j.groupId}:{binding}:{log4j.version}"
        jars[binding] = context.create_dependency(coordinate).artifact
        print(HEADER.format(version=version, binding=binding), end="")
        for jar in sorted(jars.values(), key=lambda jar: (jar.groupId, jar.artifactId)):
            data = Path(jar.resolve()).read_bytes()
            sha256 = hashlib.sha256(data).hexdigest()
            print(f"{jar.groupId}:{jar.artifactId}:{jar.version} {sha256} {len(data)}")


if not re.fullmatch(r"\d+\.\d+\.\d+", sys.argv[-1]):
    sys.exit(__doc__)
main(sys.argv[-1])
