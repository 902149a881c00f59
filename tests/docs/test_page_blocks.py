"""What a page says about its code blocks is understood, and what nobody understands is refused."""

import pytest

from tests.support.page_blocks import Block, PageMistaken, read_blocks

PAGE = """
<!-- page
first = 1
-->

```python
second = first
```

<!-- then
assert second == 1
-->

<!-- block: continues, real time -->

<!-- before
third = 3
-->

```python
import trio
```

- in a list:

  ```bash
  echo here
  ```
"""


def test_a_block_has_its_hidden_code() -> None:
    first, second, shell = read_blocks(PAGE, "page.md")
    assert first == Block("page.md", 6, "python", "second = first\n", "first = 1\n", first.then)
    assert first.then == "assert second == 1\n"
    assert second.before == "third = 3\n"  # what is before each block has run before the first one
    assert [each.code for each in second.earlier] == [first.code]
    assert (shell.language, shell.code) == ("bash", "echo here\n")


def test_a_block_continues_over_those_in_other_languages() -> None:
    text = "```python\nx = 1\n```\n```bash\nls\n```\n<!-- block: continues -->\n```python\nx\n```\n"
    first, _, last = read_blocks(text, "page.md")
    assert last.earlier == (first,)


def test_a_block_says_where_it_runs() -> None:
    first, second, _ = read_blocks(PAGE, "page.md")
    assert (first.in_real_time, first.backends) == (False, ["asyncio"])
    assert (second.in_real_time, second.backends) == (True, ["trio"])
    [block] = read_blocks(
        "<!-- block: on a broker with a b-1 -->\n```python\nawait x\n```\n", "page.md"
    )
    assert (block.needs_broker, block.own_names) == (True, ["a", "b-1"])
    assert block.backends == ["asyncio", "trio"]


@pytest.mark.parametrize(
    "text",
    [
        "<!-- then\nx\n-->\n",
        "<!-- before\nx\n-->\n",
        "<!-- block: in parallel -->\n```python\n```\n",
        "<!-- block: real time -->\n",
        "<!-- After\nx\n-->\n",
        "```py\nx\n```\n",
    ],
)
def test_a_comment_that_nobody_understands_is_refused(text: str) -> None:
    with pytest.raises(PageMistaken):
        read_blocks(text, "page.md")
