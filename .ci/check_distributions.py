"""Compare the wheel and the sdist in a folder with the files of this checkout.

The wheel has to hold every file of the package and nothing else. The sdist holds the tests as well,
and nothing that is built, downloaded or for whoever has a checkout.
"""

import sys
import tarfile
import zipfile
from pathlib import Path, PurePath

ROOT = Path(__file__).parents[1]
PACKAGES = ("sdml_kafka", "sdml")
NEEDED = {
    "sdml_kafka/py.typed",
    "sdml/kafka_client/py.typed",
    "sdml_kafka/testing/embedded/kafka_jars/4.1.0.txt",
    "sdml_kafka/testing/embedded/kafka_jars/4.4.0.txt",
}

UNWANTED = {".class", ".jar", ".log", ".pyc", ".tgz", ".whl", ".zip"}
"""How names end of what was built or downloaded."""
MAX_BYTES = 256 << 10
TOP = {
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "PKG-INFO",
    "README.md",
    "benchmarks",
    "docs",
    "examples",
    "mkdocs.yml",
    "pyproject.toml",
    "sdml",
    "sdml_kafka",
    "tests",
}


def is_cache(path: PurePath) -> bool:
    return any("cache" in part or part == ".hypothesis" for part in path.parent.parts)


def files_of(*folders: str) -> set[str]:
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return {
        path.relative_to(ROOT).as_posix()
        for path in paths
        if path.is_file() and not is_cache(path.relative_to(ROOT))
    }


def names_in_wheel(path: Path) -> set[str]:
    names = zipfile.ZipFile(path).namelist()
    return {name for name in names if not name.partition("/")[0].endswith(".dist-info")}


def names_in_sdist(path: Path) -> set[str]:
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def does_not_belong(path: Path) -> list[str]:
    """Return what the sdist at this path should not hold."""
    with tarfile.open(path) as archive:
        sizes = {each.name.partition("/")[2]: each.size for each in archive if each.isfile()}
    return [
        name
        for name, size in sizes.items()
        if name.partition("/")[0] not in TOP
        or PurePath(name).suffix in UNWANTED
        or size > MAX_BYTES
        or "node_modules" in PurePath(name).parts
    ]


def main(folder: Path) -> None:
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    packaged, source = names_in_wheel(wheel), names_in_sdist(sdist)
    wanted = files_of(*PACKAGES)
    problems = [
        *(f"not in the wheel: {name}" for name in (wanted | NEEDED) - packaged),
        *(f"in the wheel, and not of the package: {name}" for name in packaged - wanted),
        *(f"not in the sdist: {name}" for name in (wanted | files_of("tests")) - source),
        *(f"in the sdist, where it does not belong: {name}" for name in does_not_belong(sdist)),
        *(f"in the sdist, and a cache: {name}" for name in source if is_cache(PurePath(name))),
    ]
    if problems:
        sys.exit("\n".join(sorted(problems)))
    print(f"{wheel.name}: {len(packaged)} files; {sdist.name}: {len(source)} files")


main(Path(sys.argv[1]))
