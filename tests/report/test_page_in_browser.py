"""The page in a real browser: it asks for nothing, and its model is drawn, moved and turned."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from cryomix.imaging.gaussians import GaussianModel
from cryomix.report.content import DecodedPath, ReportContent
from cryomix.report.page import build_page

PICTURE = "document.querySelector('figure.model canvas').toDataURL()"
# Shares of the canvas that hold anything, and that hold what moves, which is orange.
DRAWN = """() => {
    const canvas = document.querySelector("figure.model canvas");
    const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let drawn = 0, orange = 0;
    for (let n = 0; n < all.length; n += 4) {
        drawn += all[n + 3] > 60;
        orange += all[n + 3] > 60 && all[n] > all[n + 2] + 60;
    }
    return [drawn / (all.length / 4), orange / (all.length / 4)];
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """A core that stays, and an arm that travels 30 Å."""
    generator = torch.Generator().manual_seed(4)
    core = 10 * torch.randn(40, 3, generator=generator)
    arm = torch.tensor([35.0, 0, 0]) + 4 * torch.randn(15, 3, generator=generator)
    steps = [torch.cat([core, arm + torch.tensor([0, 10.0 * n, 0])]) for n in range(4)]
    models = GaussianModel(torch.stack(steps), torch.ones(4, 55), torch.full((4, 55), 4.0))
    content = ReportContent(
        title="An arm", paths=(DecodedPath(name="along the particles", models=models),),
        scores={"a_rather_long_name_of_a_score_that_cannot_be_broken": 0.5},
    )  # fmt: skip
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(build_page(content), encoding="utf-8")
    return file


@pytest.fixture
def show(browser, report):
    """Open the page under given conditions; it may complain of nothing and ask for nothing."""
    complaints: list[str] = []
    asked: list[str] = []
    pages: list[Any] = []

    def start(**conditions: Any) -> Any:
        page = browser.new_page(**conditions)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report.as_uri())
        pages.append(page)
        return page

    yield start
    for page in pages:
        page.close()
    assert complaints == []
    assert {url for url in asked if not url.startswith("data:")} == {report.as_uri()}


def test_the_model_is_drawn_moved_and_turned(show):
    page = show(viewport={"width": 1000, "height": 900})
    drawn, orange = page.evaluate(DRAWN)
    assert 0.05 < drawn < 0.8
    assert 0.005 < orange < drawn / 2
    seen = [page.evaluate(PICTURE)]
    assert page.inner_text("figure.model output") == "state 1.0 of 4"
    page.focus("figure.model input")
    page.keyboard.press("End")
    assert page.inner_text("figure.model output") == "state 4.0 of 4"
    seen.append(page.evaluate(PICTURE))
    page.focus("figure.model canvas")
    for key in ("ArrowLeft", "ArrowUp", "+", "-", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
        seen.append(page.evaluate(PICTURE))
    box = page.locator("figure.model canvas").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, box["y"] + 120)
    page.mouse.up()
    seen.append(page.evaluate(PICTURE))
    changed = [a != b for a, b in itertools.pairwise(seen)]
    assert changed == [True] * len(changed)
    page.click("figure.model button")
    page.wait_for_function(f"{PICTURE} !== {seen[-1]!r}")


@pytest.mark.parametrize(("scheme", "is_dark"), [("dark", True), ("light", False)])
def test_the_page_is_dark_where_the_reader_wants_it(show, scheme, is_dark):
    page = show(color_scheme=scheme)
    colors = page.evaluate(
        "(({color, backgroundColor}) => [backgroundColor, color])(getComputedStyle(document.body))"
    )
    paper, ink = (sum(int(part) for part in each[4:-1].split(",")) for each in colors)
    assert (paper < ink) == is_dark
    assert abs(paper - ink) > 400


def test_a_telephone_shows_the_whole_width(show):
    page = show(viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_on_paper_no_heading_stands_alone(show):
    """The head and the path, which is taller than what is left of the first sheet."""
    page = show(viewport={"width": 718, "height": 1000}, color_scheme="dark")
    page.emulate_media(media="print")
    assert not page.is_visible("div.along")
    assert page.is_visible("figure.model canvas")
    rules = page.evaluate(
        "['h2', '.lead', '.path', '.film'].map(name => {"
        "const style = getComputedStyle(document.querySelector(name));"
        "return [style.breakAfter, style.breakInside]})"
    )
    assert [rules[0][0], rules[1][0]] == ["avoid", "avoid"]
    assert [rules[2][1], rules[3][1]] == ["auto", "avoid"]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".density img").bounding_box()["width"] <= 240
