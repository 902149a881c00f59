#!/usr/bin/env bash
# cloudevents 2.2.0: an event in Kafka's binary mode that has no time is read with the present as its time, so that two
# reads of one record differ. And data that is no object, with JSON as its content type, is written as Python shows it.
#
# Seen: time was made up: True; False is written as b'False'
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "cloudevents==2.2.0"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

headers = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"/shop", "ce_type": b"placed"}
read = from_binary(KafkaMessage(headers, None, b"{}"), JSONFormat())
is_made_up = read.get_attributes().get("time") is not None
event = CloudEvent(
    {"source": "/shop", "type": "placed", "datacontenttype": "application/json"}, False
)
written = to_binary(event, JSONFormat()).value
print(f"time was made up: {is_made_up}; False is written as {written}")
sys.exit(not is_made_up or written == b"false")
PYTHON
