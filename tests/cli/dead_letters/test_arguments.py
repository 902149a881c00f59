"""What `sdml-kafka dead-letters` takes."""

import pytest

from sdml_kafka.cli.arguments import parse_arguments
from sdml_kafka.cli.dead_letters.arguments import DeadLettersOptions
from sdml_kafka.cli.main import main

LIST = ["dead-letters", "orders-dlt", "--bootstrap", "a:1"]
REPLAY = ["dead-letters", "orders-dlt", "replay", "--bootstrap", "a:1"]
SHOW = ["dead-letters", "orders-dlt", "show", "2", "17", "--bootstrap", "a:1"]


def test_the_actions() -> None:
    assert parse_arguments(LIST) == DeadLettersOptions("orders-dlt", "list", "a:1")
    assert parse_arguments(REPLAY) == DeadLettersOptions("orders-dlt", "replay", "a:1")
    one = DeadLettersOptions("orders-dlt", "replay one", "a:1", place=(2, 17))
    assert parse_arguments([*REPLAY[:3], "2", "17", *REPLAY[3:]]) == one
    assert parse_arguments(SHOW) == DeadLettersOptions("orders-dlt", "show", "a:1", place=(2, 17))


def test_replay_with_everything() -> None:
    argv = [*REPLAY, "--from-topic", "a", "--from-topic", "b", "--exception", "E"]
    argv += [
        "--partition",
        "1",
        "--since",
        "1970-01-01T00:00:01Z",
        "--until",
        "1970-01-01T01:00+01",
    ]
    argv += [
        "--to",
        "c",
        "--same-partition",
        "--new-time",
        "--dry-run",
        "--progress",
        "--backend",
        "trio",
    ]
    assert parse_arguments(argv) == DeadLettersOptions(
        "orders-dlt",
        "replay",
        "a:1",
        partitions=frozenset({1}),
        from_topics=frozenset({"a", "b"}),
        exceptions=frozenset({"E"}),
        since_ms=1000,
        until_ms=0,
        to="c",
        same_partition=True,
        new_time=True,
        dry_run=True,
        progress=True,
        backend="trio",
    )


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["dead-letters", "a b", "--bootstrap", "a:1"], "cannot be a topic"),
        (LIST[:2], "--bootstrap"),
        ([*LIST, "replay"], "replay goes right behind the topic"),
        (["dead-letters", "t", "reply"], "'reply' is neither"),
        (["dead-letters", "t", "show", "1"], "two whole numbers"),
        (["dead-letters", "t", "show", "1", "x"], "two whole numbers"),
        (["dead-letters", "t", "replay", "1"], "is neither"),
        ([*REPLAY[:3], "1", "2", "--to", "a", *REPLAY[3:]], "the replay of one, take no filters"),
        ([*LIST, "--dry-run"], "for replay alone"),
        ([*LIST, "--to", "a"], "for replay alone"),
        ([*SHOW, "--partition", "1"], "no filters"),
        ([*SHOW, "--since", "2026-01-01"], "no filters"),
        ([*REPLAY, "--since", "yesterday"], "'yesterday' is no time"),
        ([*REPLAY, "--to", "__consumer_offsets"], "Kafka's own"),
        ([*REPLAY, "--to", "orders-dlt"], "dead letters itself"),
        ([*REPLAY, "--from-topic", ".."], "cannot be a topic"),
    ],
)
def test_what_is_wrong(argv: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert text in capsys.readouterr().err


def test_the_help_says_what_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, text in (
        (["--help"], "sdml-kafka dead-letters orders-dlt"),
        (["dead-letters", "--help"], "TOPIC [show PARTITION OFFSET | replay [PARTITION OFFSET]]"),
    ):
        with pytest.raises(SystemExit):
            main(argv)
        assert text in capsys.readouterr().out
