"""Records whose schemas are in a registry: parsers and serializers for Avro, Protobuf and JSON.

Used by programs through `SchemaRegistry`. Parsers raise `NotYet` for a schema that is not there
yet, so whoever reads records holds them; nothing here knows of partitions, calls and Kafka clients.
"""
