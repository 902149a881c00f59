"""The commands in the shell blocks of the pages."""

import re
import shlex
from collections.abc import Iterator

SEPARATORS = {"|", "||", "&&", ";", "&"}
VARIABLE = re.compile(r"\w+=.*")


def commands_of(code: str) -> Iterator[list[str]]:
    """Yield each command of a block as its words, without redirections and variables before it."""
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list[str]()
        skips = False
        for word in lexer:
            if word in SEPARATORS:
                yield from [words] if words else []
                words = []
            elif skips:
                skips = False
            elif word in ("<", ">", ">>", "2>"):
                skips = True
            elif words or VARIABLE.fullmatch(word) is None:
                words.append(word)
        yield from [words] if words else []
