"""What `--help` says. Below the options stands whatever follows `---`."""

DESCRIPTION = """\
Kafka for structured concurrency: supervised actors on anyio.
Commands to see it work, to read topics, and to have a Kafka to try things on.
"""

EXAMPLES = """\
examples:
  sdml-kafka demo                          a broker, two listeners, and some mishaps
  sdml-kafka broker --port 9092            a real Kafka, until Ctrl-C
  sdml-kafka listen orders --bootstrap localhost:9092 --group me
"""

DEMO = """\
Real records through supervised actors on a real Kafka, while things go wrong: a listener
leaves its group and comes back, an actor crashes, the broker is restarted. At the end the
books: every record that was sent was finished, none was lost, and why any came twice.
---
examples:
  sdml-kafka demo                          about half a minute, brings its own Kafka
  sdml-kafka demo --backend trio
  sdml-kafka demo --bootstrap localhost:9092     on a topic of its own, deleted at the end;
                                           that broker is not restarted
  sdml-kafka demo | cat                    plain lines

exit codes:
  0    the books balance
  1    they do not, or something failed under way
  2    wrong arguments, no broker, or something is not installed
  130  Ctrl-C
"""

LISTEN = """\
Write the records of topics to stdout, one JSON object a line:
  {"topic": ..., "partition": ..., "offset": ..., "timestamp": ..., "key": ..., "value": ...,
   "headers": [[name, value], ...]}
`timestamp` is in milliseconds since 1970. A key, a value or a header's value is a string when
its bytes are UTF-8 (JSON inside stays a string: parse it again), {"base64": "..."} when they
are not, and null when there is none. All else than ASCII is escaped, so that nothing from the
wire acts on a terminal.

A record is committed for the group only after its line was written. Ctrl-C, SIGTERM and a
closed pipe commit what was written and leave; what a pipe had taken counts as written.
---
examples:
  sdml-kafka listen orders --bootstrap localhost:9092 --group me
  sdml-kafka listen orders --bootstrap localhost:9092 --group me | jq -r .value
  sdml-kafka listen orders bills --bootstrap localhost:9092 --group try --max 10

exit codes:
  0  ended by --max, Ctrl-C, SIGTERM or a closed pipe
  1  failed under way
  2  could not begin: wrong arguments, no broker there, refused
"""

BROKER = """\
Run a real Apache Kafka on 127.0.0.1 until Ctrl-C, and remove its data then. No Java and no
container needed; the first start on a machine downloads it.
---
examples:
  sdml-kafka broker
  sdml-kafka broker --nodes 3 --port 9092

exit codes: 0 after Ctrl-C or SIGTERM; 1 failed; 2 wrong arguments
"""
