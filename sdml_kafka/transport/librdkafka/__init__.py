"""The driver over librdkafka (`confluent-kafka`): the one folder that imports it.

`connect.py` calls its two `adapter.py`, for programs that say `client="librdkafka"`. `options.py`
makes the configuration, `error_mapping.py` the package's errors, and `logs.py` writes the lines.
Nothing here knows aiokafka, and the consumer and the producer know nothing of each other.
"""
