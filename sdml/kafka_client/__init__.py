"""The import paths of the former client; new programs import `sdml_kafka`."""
