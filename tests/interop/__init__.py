"""Real Spring and NestJS services on the other side of the topics.

`services/` holds their sources, `harness/` builds and runs them. They need Maven and npm, so they
run by `.ci/run interop`, and with the mark `interop` alone.
"""
