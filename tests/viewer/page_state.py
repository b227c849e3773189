"""What a page has come to."""

import time
from typing import Any

import numpy as np
import torch

from cryomix.viewer.frames import write_answer

IDLE = "window.cryomix.connection.sent.size === 0 && !window.cryomix.connection.queue"


def wait_for(page: Any, condition: str, seconds: float = 30) -> None:
    """Ask again and again: the page's own policy forbids Playwright's way to wait."""
    until = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < until, f"{condition} did not come true in {seconds} s"
        page.wait_for_timeout(30)


def drag(page, *places):
    """Press at the first place of the first map, in shares of its size, and go to the others."""
    over = page.locator("#over").first
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up()


def numbers(page, name):
    return np.float32(page.evaluate(f"Array.from(window.cryomix.{name})"))


def require_decoded(page, arm):
    """What is shown is, byte for byte, the model of the latent that is shown."""
    latent = numbers(page, "latest.latent")
    frame = write_answer(0, latent, arm.decode(torch.from_numpy(latent)[None])[0], 0.0)
    parts = [numbers(page, f"latest.model.{part}") for part in ("center", "amplitude", "width")]
    assert np.concatenate(parts).tobytes() == frame[16 + latent.nbytes :]
    return latent
