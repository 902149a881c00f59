"""Tests of `sdml-kafka asyncapi`."""
