#!/usr/bin/env bash
# confluent-kafka 2.16.1: the registry client remembers a schema by its number alone. Asked for one and then for the same
# one in another format (`fmt`), it returns the first answer again, and asks the registry once.
#
# Seen: asked /schemas/ids/1; the second answer is in the format: text
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "confluent-kafka[schemaregistry]==2.16.1"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from confluent_kafka.schema_registry import SchemaRegistryClient

asked = []


class Registry(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked.append(self.path)
        kind = "serialized" if "format=serialized" in self.path else "text"
        body = json.dumps({"schema": kind, "schemaType": "PROTOBUF"}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", 0), Registry)
Thread(target=server.serve_forever, daemon=True).start()
client = SchemaRegistryClient({"url": f"http://127.0.0.1:{server.server_address[1]}"})
client.get_schema(1)
second = client.get_schema(1, fmt="serialized").schema_str
server.shutdown()
print(f"asked {', '.join(asked)}; the second answer is in the format: {second}")
sys.exit(second != "text")
PYTHON
