"""Types that make a `dict[Any, Any]` of `subscribe(dict)` and `res_expect_type=dict`.

To them a bare `dict` is a dict of unknown keys and values, which they complain of in strict mode.
Type variables with a default make it one of any. The default is written for type checkers alone,
since Python has it from 3.13 on.
"""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    K = TypeVar("K", default=Any)
    V = TypeVar("V", default=Any)
else:
    from typing import TypeVar

    K, V = TypeVar("K"), TypeVar("V")


class Exactly[T](Protocol):
    """The class T, and none of its subclasses, which keep their own type.

    Every class has this method, and a list of `type[T]` is no list of a subclass's type.
    """

    def __subclasses__(self) -> list[type[T]]:
        """Return the direct subclasses, as every class does."""
        ...
