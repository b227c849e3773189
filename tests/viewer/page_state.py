"""What a page has come to."""

import time
from typing import Any


def wait_for(page: Any, condition: str, seconds: float = 30) -> None:
    """Ask again and again: the page's own policy forbids Playwright's way to wait."""
    until = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < until, f"{condition} did not come true in {seconds} s"
        page.wait_for_timeout(30)


def drag(page, *places):
    """Press at the first place of the map, in shares of its size, and go to the others."""
    box = page.locator("#over").bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up()
