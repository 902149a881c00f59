"""The texts of `--help`. What follows `---` in a text is shown below the options."""

DESCRIPTION = """\
Kafka for structured concurrency: supervised actors on anyio.
The commands show it at work, read topics and send to them, make calls and answer them, and run a
Kafka to try things on.
"""

EXAMPLES = """\
examples:
  sdml-kafka demo                          a broker, two listeners, and some mishaps
  sdml-kafka broker --port 9092            a real Kafka, until Ctrl-C
  sdml-kafka listen orders --bootstrap localhost:9092 --group me
  echo hello | sdml-kafka send orders --bootstrap localhost:9092
  sdml-kafka dead-letters orders-dlt --bootstrap localhost:9092
  sdml-kafka serve shout --bootstrap localhost:9092 --group shouters -- tr a-z A-Z
  sdml-kafka request shout hello --bootstrap localhost:9092
  sdml-kafka doctor orders --group billing --bootstrap localhost:9092     what is wrong?
  sdml-kafka top http://localhost:8000     what a program is doing

listen, send, dead-letters, doctor, serve and request connect to what the environment variable
SDML_KAFKA_BOOTSTRAP holds where no --bootstrap is given. Options of the client, such as those for
TLS and SASL, are given in a file: see --config of these commands, and --client and -o beside it.
"""

DEMO = """\
Send real records and calls through supervised actors on a real Kafka, while things go wrong: a
listener leaves its group and comes back, so does a server, an actor crashes, the broker is
restarted. Bills are handled side by side, each customer's in order; one is tried again, one
becomes a dead letter that is sent anew, and one is stuck for a moment. A live page shows all of it
to a browser on this machine, at the address that the demo writes. At the end the demo shows its
books: that every record that was sent was finished and none was lost, and why a record came twice;
that every bill was handled or is a dead letter; that every call settled with the right reply, or
why it timed out.
---
examples:
  sdml-kafka demo                          takes half a minute and starts its own Kafka
  sdml-kafka demo --backend trio
  sdml-kafka demo --bootstrap localhost:9092     on topics of its own, which it deletes at the end;
                                           that broker is not restarted
  sdml-kafka demo | cat                    plain lines

exit codes:
  0    the books balance
  1    the books do not balance, or something failed under way
  2    wrong arguments, no broker, or something is not installed
  130  Ctrl-C
"""

LISTEN = """\
Write the records of topics to stdout, one JSON object a line:
  {"topic": ..., "partition": ..., "offset": ..., "timestamp": ..., "key": ..., "value": ...,
   "headers": [[name, value], ...]}
`timestamp` is in milliseconds since 1970. A key, a value or a header's value is a string when
its bytes are UTF-8 (JSON inside stays a string: parse it again), {"base64": "..."} when they
are not, and null when there is none. Everything but ASCII is escaped, so that nothing from the
wire acts on a terminal.

A record is committed for the group only after its line was written. On Ctrl-C, SIGTERM and a
closed pipe the command commits what was written and leaves the group; what the pipe had taken
counts as written.
---
examples:
  sdml-kafka listen orders --bootstrap localhost:9092 --group me
  sdml-kafka listen orders --bootstrap localhost:9092 --group me | jq -r .value
  sdml-kafka listen orders bills --bootstrap localhost:9092 --group try --max 10
  sdml-kafka listen orders --bootstrap localhost:9092 --offset earliest --exit-at-end

exit codes:
  0  ended by --max, --exit-at-end, Ctrl-C, SIGTERM or a closed pipe
  1  failed under way
  2  could not begin: wrong arguments, no broker answers, there is no such topic, or access was
     refused
"""

SEND = """\
Send each line of stdin as a record: the line, byte for byte and without its end, is the value.
The records are sent as the lines come, many at a time, in order in each partition. The command
ends when stdin does and the broker has acknowledged every record.

With --json each line is an object: {"value": ..., "key": ..., "headers": ..., "partition": ...}.
`value` is needed, the others are not. A value, a key or a header's value is a string, or
{"base64": "..."} for other bytes; null is no key, or a tombstone. `headers` is an object, or a
list of [name, value]. So what `listen` writes can be sent: its other fields are ignored. --key is
for lines without a key of their own, and --header comes before their headers. Empty lines are
skipped.

The first line that is wrong, or that the broker does not take, ends the command with the line's
number. After a wrong line all lines before it were sent. Where a line was not taken, or the command
was interrupted, some lines may have been sent and are not counted.
---
examples:
  echo hello | sdml-kafka send orders --bootstrap localhost:9092
  sdml-kafka send orders --bootstrap localhost:9092 --key c-7 --header trace=1 < orders.txt
  echo '{"value": "hello", "key": "c-7"}' | sdml-kafka send orders --json --bootstrap localhost:9092
  sdml-kafka listen orders --offset earliest --exit-at-end | sdml-kafka send copy --json

exit codes:
  0    every line was sent and acknowledged
  1    something else went wrong: no broker answers, no such topic, access was refused, or a record
       was not taken
  2    wrong arguments, a wrong line, or something is not installed
  130  Ctrl-C, 143 SIGTERM
"""

DEAD_LETTERS = """\
List the records of a topic of dead letters, show one of them, or send them anew to where they came
from. The headers are those that this package, Spring Kafka and Kafka's share groups write.

The list is one JSON object a line:
  {"partition": ..., "offset": ..., "when": ..., "from": {"topic": ..., "partition": ...,
   "offset": ...}, "group": ..., "attempts": ..., "exception": ..., "cause": ..., "message": ...}
What a header does not say is null, as are `attempts` where Spring had no retry topics; this package
writes those in place, too (`sdml_kafka-attempts`). Everything but ASCII is escaped, so that nothing
from the wire acts on a terminal. `show` writes all of one dead letter for reading, 100,000 bytes of
each part at most.

`replay` sends what is there to the topics that the records came from, or to --to: key, value, time
and headers, without those of the failure. A topic deletes records whose time is older than its
retention, at once if need be: give --new-time for old ones. Each is sent once, however often the
command is cut off and started again: a consumer group, named after the topic, the filters and --to,
remembers what was sent, in transactions, and other filters begin anew. (After SIGKILL readers of
uncommitted records may see some twice.) --dry-run lists what would be sent. The topic comes out of
a header, which others can write: it is shown before the first record goes there. No topic is
created, and no record goes to Kafka's own topics or back to the dead letters; what would is left
out. `replay PARTITION OFFSET` sends that one alone, in a transaction, unless it or a replay without
filters and --to has sent it before.
---
examples:
  sdml-kafka dead-letters orders-dlt --bootstrap localhost:9092
  sdml-kafka dead-letters orders-dlt --bootstrap localhost:9092 --since 2026-11-29 | jq .exception
  sdml-kafka dead-letters orders-dlt show 2 17 --bootstrap localhost:9092
  sdml-kafka dead-letters orders-dlt replay 2 17 --bootstrap localhost:9092
  sdml-kafka dead-letters orders-dlt replay --bootstrap localhost:9092 --dry-run
  sdml-kafka dead-letters orders-dlt replay --bootstrap localhost:9092 --exception TimeoutError

exit codes:
  0    done, or nobody reads the output any more
  1    something went wrong: no broker answers, no such topic, access was refused, or a record was
       not taken
  2    wrong arguments, or something is not installed
  3    replay left out records whose headers name no topic to send to
  130  Ctrl-C during a replay, 143 SIGTERM
"""

DOCTOR = """\
Say what is wrong, and what to change: whether each broker can be reached at the address that it
advertises, and agrees with the others; versions and controllers; the clock; topics, their copies,
limits and cleanup; what this client may not do; a group with its lag, its members and their shares;
time-outs that contradict each other, of the options in --config, the brokers and the group.

Nothing is written, joined, committed or created: brokers are only asked. A broker that is away or
frozen is a finding; each has --timeout once. The topics are those that are named and those of the
group; the copies of all others are looked at as well. A group that has something to read is looked
at twice.

With --json the report is one object: `schema` (1), `cluster`, `bootstrap`, `brokers`, `clock`,
`topics`, `group`, `counts`, `exit_code`, and `findings`, each with `severity` (error, warning or
note), `code`, `about`, `found` and `change`. A `code` does not change its meaning. Everything but
ASCII is escaped, so that nothing from the wire acts on a terminal.
---
examples:
  sdml-kafka doctor --bootstrap localhost:9092
  sdml-kafka doctor orders orders-dlt --group billing --bootstrap localhost:9092
  sdml-kafka doctor --group billing --config client.toml --json | jq -r .findings[].found

exit codes:
  0    nothing is wrong; there may be notes
  1    there are errors: something does not work
  2    wrong arguments, or something is not installed
  3    there are warnings, and no errors
  130  Ctrl-C, 143 SIGTERM
"""

TOP = """\
Show what a program is doing: its listeners, servers and clients, each partition with its lag and
what is in hand, processors, actors with their restarts, and what is in trouble, with the reason.

The program has to serve `sdml_kafka.observability.app(...)`; its /status.json is asked for again
and again. Where the output is no terminal, one picture is written, in plain words.
---
examples:
  sdml-kafka top http://localhost:8000
  sdml-kafka top localhost:8000/ops --interval 5
  sdml-kafka top localhost:8000 --once | less

exit codes:
  0    the picture was written
  1    the program does not answer, or not with its status
  2    wrong arguments, or something is not installed
  130  Ctrl-C, 143 SIGTERM
"""

REQUEST = """\
Send a request, wait for its reply, and write the reply to stdout: byte for byte to a pipe or a
file; on a terminal, control characters are escaped and a newline follows. VALUE is sent as it is
typed; `-` sends what stdin holds. Everything else is written to stderr.

With --stream the server may answer with several replies; a newline follows each. A closed pipe
ends the call, and the server is notified if it asks for that.
---
examples:
  sdml-kafka request shout hello --bootstrap localhost:9092
  sdml-kafka request shout - --bootstrap localhost:9092 < letter.txt > answer.txt
  sdml-kafka request shout hi --bootstrap localhost:9092 --header lang=en --timeout 5
  sdml-kafka request shout hi --bootstrap localhost:9092 --server-group shouters

exit codes:
  0    the reply was written, or nobody reads it any more
  1    something else went wrong: no broker answers, no such topic, or access was refused
  2    wrong arguments, or something is not installed
  3    no reply in time, or the server answered deadline_exceeded
  4    the server answered with another error: its status and text are on stderr
  130  Ctrl-C, 143 SIGTERM
"""

SERVE = """\
Answer the requests of a topic with a program. The program is run for each request, without a
shell: it reads the request's value from stdin, and what it writes to stdout is the reply. If it
ends with an exit code N other than 0, the reply is the error `internal` with the text
`exit code N`. What it writes to stderr is written to the stderr of this command, in lines that
name the program, 64 KB at most.

The program finds the call in environment variables; a variable is missing when the call has no
such thing:
  SDML_KAFKA_ID          the call's correlation id
  SDML_KAFKA_KEY         the record's key
  SDML_KAFKA_TIMEOUT_MS  the milliseconds that are left to answer
  SDML_KAFKA_HEADERS     NAME=VALUE&NAME=VALUE, as in the query of a URL
ID and KEY are printable ASCII; `%` and all other bytes are written as %XX, as in URLs. The caller
chose what is in these variables and in stdin: do not trust it. A variable of more than 32,768
characters is missing, too.

A program that runs beyond the call's deadline or --timeout gets SIGTERM, and SIGKILL a second
later; so does a program that writes more than 1,000,000 bytes. Servers of one group share the
requests. After Ctrl-C or SIGTERM running programs have 8 seconds to end. No program is left
behind, not even when this command is killed.
---
examples:
  sdml-kafka serve shout --bootstrap localhost:9092 --group shouters -- tr a-z A-Z
  sdml-kafka serve price --bootstrap localhost:9092 --group prices --concurrency 4 \\
      -- python3 price.py --currency EUR

exit codes:
  0  ended by --max, Ctrl-C or SIGTERM
  1  failed under way
  2  could not begin: wrong arguments, no such program, no broker answers, or access was refused
"""

BROKER = """\
Run a real Apache Kafka on 127.0.0.1 until Ctrl-C, then remove its data. It needs no Java and no
container; the first start on a machine downloads it.
---
examples:
  sdml-kafka broker
  sdml-kafka broker --nodes 3 --port 9092
  sdml-kafka broker --port 0               a free port, which it prints
  sdml-kafka broker --kafka-version 4.1.0

exit codes:
  0  ended by Ctrl-C or SIGTERM
  1  failed, or its port is taken
  2  wrong arguments
"""

ASYNCAPI = """\
Write an AsyncAPI 3 document of what a program's listeners, servers, clients and producers declare:
topics, the types of their values, groups, replies, retry topics and dead letters, and brokers, but
no secret. The module is imported from the current folder, and nothing is connected.

MODULE takes all that the module holds; MODULE:NAME one object, a list of objects, or a function,
plain or async, that returns either. What handlers write is declared by `asyncapi.Sends`.
---
examples:
  sdml-kafka asyncapi service
  sdml-kafka asyncapi shop.service:make_all --title Shop --yaml -o asyncapi.yaml

exit codes:
  0    it is written
  2    wrong arguments, or the program cannot be imported
"""
