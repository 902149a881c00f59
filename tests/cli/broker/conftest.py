from tests.support.leftovers import temp

__all__ = ["temp"]
