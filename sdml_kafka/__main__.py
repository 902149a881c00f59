"""`python -m sdml_kafka` is `sdml-kafka`."""

from sdml_kafka.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
