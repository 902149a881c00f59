"""Protobuf, by the classes that its compiler has generated."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from sdml_kafka.errors import SchemaRefused
from sdml_kafka.parsing.parsers import SKIP
from sdml_kafka.schemas.formats.codec import Read, Reading, Written, library
from sdml_kafka.schemas.source import SchemaText
from sdml_kafka.schemas.wire import MAX_INDEXES, read_indexes, write_indexes

KNOWN_FILES = "confluent/", "google/protobuf/", "google/type/"
"""How the names of files begin that each registry has."""


def is_message(type_: object) -> bool:
    """Return whether this is a class that Protobuf's compiler has generated."""
    return isinstance(type_, type) and hasattr(type_, "DESCRIPTOR") and hasattr(type_, "FromString")


def reader(schema: SchemaText, reading: Reading) -> Read:
    """Return what reads messages of the program's class.

    Raises:
        SchemaRefused: The program's type is no class of Protobuf, or the schema is not valid.
    """
    message: Any = reading.type
    if not is_message(message):
        raise SchemaRefused("the records are Protobuf: give the generated class as the type")
    file, own, is_known = _file(schema.text), path_of(message), set[tuple[int, ...]]()
    full_name: str = message.DESCRIPTOR.full_name
    parse = message.FromString

    def read(data: bytes, at: int, path: tuple[int, ...] | None) -> object:
        if path is None:
            path, at = read_indexes(data, at)
        if path not in is_known:
            # Without a file descriptor the program's own file is all that is known.
            name = (full_name if path == own else None) if file is None else _name_at(file, path)
            if name != full_name:
                if reading.name is not None:
                    return SKIP
                raise SchemaRefused(f"the message is {name or 'another one'}, not {full_name}")
            is_known.add(path)
        return parse(data[at:])

    return read


def writer(schema: SchemaText, message: Any) -> Written[Any]:
    """Return what writes messages of this class.

    Raises:
        SchemaRefused: The schema has no such message.
    """
    file = _file(schema.text)
    full_name: str = message.DESCRIPTOR.full_name
    path = path_of(message) if file is None else _path_of_name(file, full_name)
    if path is None:
        raise SchemaRefused(f"the schema has no message {full_name}")

    def write(value: Any) -> bytes:
        data: bytes = value.SerializeToString()
        return data

    return Written(write, write_indexes(path))


def schema_of(message: Any) -> SchemaText:
    """Return the schema of a generated class as a registry takes it, with the files it imports."""
    file, imported = message.DESCRIPTOR.file, dict[str, str]()
    _add_imports(file, imported)
    return SchemaText("PROTOBUF", _text_of(file), imported)


def _add_imports(file: Any, found: dict[str, str]) -> None:
    """Add the files that a file imports, each behind those that it imports itself."""
    for each in file.dependencies:
        if not each.name.startswith(KNOWN_FILES) and each.name not in found:
            _add_imports(each, found)
            found[each.name] = _text_of(each)


def _text_of(file: Any) -> str:
    return b64encode(file.serialized_pb).decode()


def imports_of(text: str) -> Sequence[str]:
    """Return the names of the files that the file of a generated class imports itself."""
    file = _file(text)
    return [] if file is None else list(file.dependency)


def path_of(message: Any) -> tuple[int, ...]:
    """Return the path of a class in its own .proto file."""
    descriptor = message.DESCRIPTOR
    pb2 = library("google.protobuf.descriptor_pb2")
    file = pb2.FileDescriptorProto.FromString(descriptor.file.serialized_pb)
    path = _path_of_name(file, descriptor.full_name)
    assert path is not None
    return path


def _file(text: str) -> Any:
    """Return the file descriptor that a schema is, None if it is the text of a .proto file."""
    pb2 = library("google.protobuf.descriptor_pb2")
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        return None
    try:
        return pb2.FileDescriptorProto.FromString(data)
    except Exception as error:  # of the library's own class
        raise SchemaRefused("the Protobuf schema is not valid") from error


def _name_at(file: Any, path: tuple[int, ...]) -> str | None:
    """Return the full name of the message at a path, None if there is none."""
    names, messages = [file.package] if file.package else [], file.message_type
    for index in path:
        if not 0 <= index < len(messages):
            return None
        names.append(messages[index].name)
        messages = messages[index].nested_type
    return ".".join(names)


def _path_of_name(file: Any, full_name: str) -> tuple[int, ...] | None:
    prefix = f"{file.package}." if file.package else ""
    if not full_name.startswith(prefix):
        return None
    indexes: list[int] = []
    messages = file.message_type
    for name in full_name.removeprefix(prefix).split(".", MAX_INDEXES):
        places = [number for number, each in enumerate(messages) if each.name == name]
        if not places:
            return None
        indexes.append(places[0])
        messages = messages[places[0]].nested_type
    return tuple(indexes)
