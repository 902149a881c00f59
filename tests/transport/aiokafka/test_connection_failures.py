"""Why a connection has failed, in words."""

import pytest

from sdml_kafka.transport.aiokafka.connection_failures import reason_of


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_a_host_that_no_name_can_be_does_not_resolve(host: str) -> None:
    with pytest.raises(UnicodeError) as caught:
        host.encode("idna")  # as connecting to it does
    assert reason_of(caught.value, "PLAINTEXT") == "its name does not resolve"
