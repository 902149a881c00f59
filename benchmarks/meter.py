"""Measures what a contestant costs, in its own process."""

import json
import resource
import sys
import time
from gc import get_stats
from pathlib import Path

from attrs import asdict, frozen

from benchmarks.sampling import allow_sampling


@frozen
class Usage:
    """What the process has used since it was started."""

    cpu_s: float
    collections: int
    """Collections of the youngest generation of the garbage collector."""

    @classmethod
    def now(cls) -> "Usage":
        """Return what the process has used until now."""
        return cls(time.process_time(), get_stats()[0]["collections"])

    def since(self, earlier: "Usage") -> "Usage":
        """Return what was used between two moments."""
        return Usage(self.cpu_s - earlier.cpu_s, self.collections - earlier.collections)


@frozen
class ReadingSample:
    """The cost of one run of one contestant that reads."""

    seconds: float
    """From the first record to the last, since `start` measures how long joining a group takes."""
    cpu_us: float
    """CPU time of the process for each record, in microseconds, in the same time."""
    collections: float
    """Collections of the youngest generation of the garbage collector, per 100,000 records."""
    max_rss_mb: float
    """The largest memory of the process, in megabytes."""

    @property
    def rate(self) -> float:
        """Runs a second."""
        return 1 / self.seconds

    def print(self) -> None:
        """Hand the sample to the parent process."""
        print(json.dumps(asdict(self)))


def memory_now_mb() -> float:
    """Return the memory that the process has now, the largest so far where Linux is not asked."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class ReadingMeter:
    """Measures one run."""

    def start(self) -> None:
        """Begin the measured part, with the first record."""
        self._usage = Usage.now()
        self._began = time.perf_counter()

    def stop(self, records: int) -> ReadingSample:
        """End the measured part."""
        seconds = time.perf_counter() - self._began
        used = Usage.now().since(self._usage)
        return ReadingSample(
            seconds,
            used.cpu_s / records * 1e6,
            used.collections / records * 1e5,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )


class SampledReadingMeter(ReadingMeter):
    """Measures a run, and lets the parent process sample nothing but its measured part."""

    def start(self) -> None:
        """Begin the measured part once the parent process samples."""
        allow_sampling()
        print('"ready"', flush=True)
        sys.stdin.readline()  # blocks the event loop on purpose: nothing is read meanwhile
        super().start()

    def stop(self, records: int) -> ReadingSample:
        """End the measured part, and wait until the parent process has stopped to sample."""
        sample = super().stop(records)
        print('"done"', flush=True)
        sys.stdin.readline()
        return sample
