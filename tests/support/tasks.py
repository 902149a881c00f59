"""How many tasks run: a test compares the numbers before and after."""

import anyio


def task_count() -> int:
    return len(anyio.get_running_tasks())
