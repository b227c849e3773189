"""What a page has come to."""

import time
from typing import Any


def wait_for(page: Any, condition: str, seconds: float = 30) -> None:
    """Ask again and again: the page's own policy forbids Playwright's way to wait."""
    until = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < until, f"{condition} did not come true in {seconds} s"
        page.wait_for_timeout(30)
