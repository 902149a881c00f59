"""The code blocks of the README and of the pages in docs/, and what their pages say about them.

Each `python` block runs in the tests, on the in-memory twin in virtual time, on asyncio and trio:
what connects to `localhost:9092` gets the twin. What a block needs and a reader does not stands in
comments of the page, which no reader sees, each on lines of its own:

    <!-- page           code that runs before each of the blocks below, as often as there is one
    PRICES = {"figs": 3}
    -->

    <!-- before         code that runs before the next block
    broker.create_topic("orders")
    -->

    <!-- then           code that runs once the block before it has ended, or waits for something
    broker.produce("orders", b'{"item": "figs"}')
    await until(lambda: printed)
    assert printed == ["{'item': 'figs'}"]
    -->

    <!-- block: continues, on a broker, real time      what holds for the next block
    -->

The words of `block:`

- `continues`: the blocks before it run first, back to the last that does not continue.
- `on a broker`: it runs on the embedded Kafka, in real time. `on a broker with orders billing`
  gives these topics and groups names of their own, in the hidden code as well.
- `real time`: on the twin, but not in virtual time, since it uses threads or processes.
- `not run, because ...`: only its syntax is checked; `tests/docs/not_run.txt` lists these.

A block that imports asyncio, aiokafka or uvloop runs on asyncio alone, as does one that waits for
nothing, and one that imports trio runs on trio. Blocks with tests or fixtures of pytest are run by
pytest in a process of its own, each with its hidden code in a file. Else that code has these names:

- `broker`: the twin (`MemoryBroker`), whose topics a producer makes by sending to them, and
  `sent("orders")`: the records of such a topic; on a broker instead `bootstrap` (its address),
  and, to be awaited, `create_topic`, `produce` and `records_of`.
- `printed`: the lines that the block has printed.
- `await enter(listener)`: enters it until the hidden code after the block has ended.
- `until(condition)`: waits until that holds; `ended()`: waits until the block has ended.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve, field, frozen

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

PART = re.compile(
    r"^(?P<indent> *)(?:```(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^(?P=indent)```$"
    r"|<!-- (?P<word>page|before|then|block)\b:?(?P<hidden>.*?)-->)",
    re.DOTALL | re.MULTILINE,
)
WORDS = re.compile(r"(continues|real time|on a broker(?: with [\w. -]+)?|not run, because .+)")
WAITS = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
COMMENTS = {"page", "before", "then", "block", "begin", "end"}
"""Parts of the performance page that its programs write are between `begin` and `end`."""
LANGUAGES = {"", "bash", "ini", "java", "json", "promql", "python", "sql", "text", "toml", "yaml"}
"""The languages of blocks; the tests would not see one that is marked as `py` or `console`."""
ON_ASYNCIO = {"asyncio", "aiokafka", "uvloop"}
ON_TRIO = {"trio", "trio_asyncio"}


class PageMistaken(Exception):
    """A comment of a page says what nobody understands."""


@frozen
class Block:
    """One code block of a page, with the hidden code around it."""

    page: str
    line: int
    language: str
    code: str
    before: str = ""
    then: str = ""
    words: tuple[str, ...] = ()
    earlier: tuple["Block", ...] = field(default=(), repr=False)
    """The blocks that run before it."""

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def why_not(self) -> str | None:
        """Why it does not run, None if it does."""
        reasons = [word for word in self.words if word.startswith("not run")]
        return reasons[0].removeprefix("not run, because ") if reasons else None

    @property
    def needs_broker(self) -> bool:
        return any(word.startswith("on a broker") for word in self.words)

    @property
    def own_names(self) -> list[str]:
        """The topics and groups that have other names on a broker that others use as well."""
        [words] = [word for word in self.words if word.startswith("on a broker")]
        return words.removeprefix("on a broker").removeprefix(" with").split()

    @property
    def in_real_time(self) -> bool:
        return "real time" in self.words or self.needs_broker

    @property
    def is_for_pytest(self) -> bool:
        """True if it has tests or fixtures of pytest."""
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        defined = [node for node in ast.parse(self.code).body if isinstance(node, functions)]
        return any(
            each.name.startswith("test_")
            or any("pytest.fixture" in ast.unparse(by) for by in each.decorator_list)
            for each in defined
        )

    @property
    def backends(self) -> list[str]:
        """The event loops that it runs on, by what it imports."""
        code = "\n".join(
            part for each in (*self.earlier, self) for part in (each.before, each.code)
        )
        imported = set(re.findall(r"^\s*(?:import|from) (\w+)", code, re.MULTILINE))
        if imported & ON_TRIO:
            return ["trio"]
        if imported & ON_ASYNCIO or not any(
            isinstance(node, WAITS) for node in ast.walk(ast.parse(code))
        ):
            return ["asyncio"]
        return ["asyncio", "trio"]


def blocks_of(page: Path) -> list[Block]:
    """Return the code blocks of a page.

    Raises:
        PageMistaken: A comment is about no block, or has a word that nobody knows.
    """
    return read_blocks(page.read_text(), page.relative_to(ROOT).as_posix())


def read_blocks(text: str, page: str) -> list[Block]:
    """Return the code blocks of the text of a page, as `blocks_of` does."""
    return list(_blocks(text, page))


def _blocks(text: str, page: str) -> Iterator[Block]:
    always, before, words = "", "", tuple[str, ...]()
    block: Block | None = None
    chain = tuple[Block, ...]()
    _check(text, page)
    for part in PART.finditer(text):
        line = text.count("\n", 0, part.start()) + 1
        hidden = textwrap.dedent(part["hidden"] or "").strip() + "\n"
        if part["word"] == "page":
            always += hidden
        elif part["word"] == "before":
            before += hidden
        elif part["word"] == "block":
            words = _words(hidden, f"{page}:{line}")
        elif part["word"] == "then":
            if block is None:
                raise PageMistaken(f"{page}:{line}: no block comes before this")
            block = evolve(block, then=block.then + hidden)
        else:
            if block is not None:
                yield block
            language, code = part["language"], textwrap.dedent(part["code"])
            earlier = chain if "continues" in words else ()
            before = before if earlier else always + before
            block = Block(page, line, language, code, before, "", words, earlier)
            chain = (*earlier, block) if language == "python" else chain
            before, words = "", ()
    if before or words:
        raise PageMistaken(f"{page}: no block comes after the last comment")
    if block is not None:
        yield block


def _check(text: str, page: str) -> None:
    """Raise PageMistaken if the page has a comment or a language that is not known."""
    unknown = {*re.findall(r"<!-- ?(\w*)", text)} - COMMENTS
    unknown |= {part["language"] or "" for part in PART.finditer(text)} - LANGUAGES
    if unknown:
        raise PageMistaken(f"{page}: page_blocks.py does not know {unknown}")


def _words(hidden: str, where: str) -> tuple[str, ...]:
    text = " ".join(hidden.split())
    words = (text,) if text.startswith("not run") else tuple(re.split(r", ", text))
    for word in words:
        if WORDS.fullmatch(word) is None:
            raise PageMistaken(f"{where}: {word!r} is none of the words of page_blocks.py")
    return words
