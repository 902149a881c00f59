"""What `--help` says. Below the options stands whatever follows `---`."""

DESCRIPTION = """\
Kafka for structured concurrency: supervised actors on anyio.
Commands to see it work, to read topics, to make calls and to answer them, and to have a Kafka
to try things on.
"""

EXAMPLES = """\
examples:
  sdml-kafka demo                          a broker, two listeners, and some mishaps
  sdml-kafka broker --port 9092            a real Kafka, until Ctrl-C
  sdml-kafka listen orders --bootstrap localhost:9092 --group me
  sdml-kafka serve shout --bootstrap localhost:9092 --group shouters -- tr a-z A-Z
  sdml-kafka request shout hello --bootstrap localhost:9092
"""

DEMO = """\
Real records and calls through supervised actors on a real Kafka, while things go wrong: a
listener leaves its group and comes back, so does a server, an actor crashes, the broker is
restarted. At the end the books: every record that was sent was finished, none was lost, and why
any came twice; every call settled, and with the right reply, or why it timed out.
---
examples:
  sdml-kafka demo                          about half a minute, brings its own Kafka
  sdml-kafka demo --backend trio
  sdml-kafka demo --bootstrap localhost:9092     on topics of its own, deleted at the end;
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

REQUEST = """\
Send a request, wait for its reply, and write the reply to stdout: byte for byte, but for a
terminal, where what would act on it is escaped and a newline follows. VALUE is sent as it is
typed; `-` sends what stdin holds. Everything else is said on stderr.

With --stream the server may answer with several replies; each is followed by a newline. A closed
pipe ends the call, and the server is told if it wants to know.
---
examples:
  sdml-kafka request shout hello --bootstrap localhost:9092
  sdml-kafka request shout - --bootstrap localhost:9092 < letter.txt > answer.txt
  sdml-kafka request shout hi --bootstrap localhost:9092 --header lang=en --timeout 5
  sdml-kafka request shout hi --bootstrap localhost:9092 --server-group shouters

exit codes:
  0    the reply is written, or nobody reads it any more
  1    something else went wrong: no broker there, no such topic, refused
  2    wrong arguments, or something is not installed
  3    no reply in time, or the server says deadline_exceeded
  4    the server answered with another error: its status and text are on stderr
  130  Ctrl-C, 143 SIGTERM
"""

SERVE = """\
Answer the requests of a topic with a program. It is run for each, without a shell: the request's
value is its stdin, and what it writes to stdout is the reply. An exit code N other than 0 is
answered with the error `internal` and the text `exit code N`; its stderr comes out of ours, in
lines that name it, 64 KB at most.

It is told in environment variables, each missing when there is no such thing:
  SDML_KAFKA_ID          the call's correlation id
  SDML_KAFKA_KEY         the record's key
  SDML_KAFKA_TIMEOUT_MS  the milliseconds that are left to answer
  SDML_KAFKA_HEADERS     NAME=VALUE&NAME=VALUE, as in the query of a URL
ID and KEY are printable ASCII; `%` and all other bytes are %XX, as in URLs. Strangers chose what
is in them and in stdin. One that is longer than 32,768 characters is missing, too.

A program that runs beyond the call's deadline or --timeout gets SIGTERM, and SIGKILL a second
later; so does one that writes more than 1,000,000 bytes. Servers of one group share the requests.
Ctrl-C and SIGTERM let running programs end, 8 seconds at most; none is left behind, not even
when this program is killed.
---
examples:
  sdml-kafka serve shout --bootstrap localhost:9092 --group shouters -- tr a-z A-Z
  sdml-kafka serve price --bootstrap localhost:9092 --group prices --concurrency 4 \\
      -- python3 price.py --currency EUR

exit codes:
  0  ended by --max, Ctrl-C or SIGTERM
  1  failed under way
  2  could not begin: wrong arguments, no such program, no broker there, refused
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
