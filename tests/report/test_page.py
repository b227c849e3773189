import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.clusters import cluster
from cryomix.latent.latent_map import LatentMap
from cryomix.latent.reduction import fit_pca, fit_umap
from cryomix.report.content import Curve, DecodedPath, EpochScore, ReportContent
from cryomix.report.page import build_page

_DOI = "https://doi.org/10.1038/s41592-021-01220-5"
_VOID = {"meta", "img", "source", "link", "br", "hr", "input"}


class _Outline(HTMLParser):
    """Collects the elements and checks that they are nested properly."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> crosses another element"

    def handle_data(self, data: str) -> None:
        self.text += data


def _parse(page: str) -> _Outline:
    outline = _Outline()
    outline.feed(page)
    outline.close()
    assert outline.open == []
    return outline


@pytest.fixture(scope="module")
def page(content) -> str:
    return build_page(content)


def test_the_page_holds_every_section(page):
    outline = _parse(page)
    for heading in (
        "What was found", "How sure", "What moves", "Latent space", "Clusters and maps",
        "Against the known truth", "Fit", "What these data cannot show",
    ):  # fmt: skip
        assert heading in outline.text
    # Three of the latent space, two of maps, two of the fit, one of the motion.
    assert sum(tag == "svg" for tag, _ in outline.elements) == 8


def test_a_page_of_nothing_but_a_title_has_no_empty_section():
    outline = _parse(build_page(ReportContent(title="Nothing yet")))
    assert "Nothing yet" in outline.text
    tags = [tag for tag, _ in outline.elements]
    for absent in ("h2", "svg", "img", "table", "section"):
        assert absent not in tags


def test_nothing_is_fetched_from_elsewhere(page):
    outline = _parse(page)
    for tag, attributes in outline.elements:
        for name in ("src", "srcset", "poster", "data"):
            if name in attributes:
                assert (attributes[name] or "").startswith("data:"), (tag, name)
        if "href" in attributes:
            target = attributes["href"] or ""
            assert target.startswith(("#", "data:")) or target == _DOI, (tag, target)
        assert tag not in {"link", "iframe", "object"}
    assert set(re.findall(r"https?://[^\"'\s<)]+", page)) == {_DOI}
    assert "@import" not in page
    assert set(re.findall(r"url\((.)", page)) <= {"#"}


def test_names_inside_the_drawings_are_unique_and_found(page):
    outline = _parse(page)
    names = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(names) == len(set(names))
    used = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert used
    assert used <= set(names)


def test_drawings_take_the_colour_of_the_page(page):
    assert page.count("currentColor") > 50
    assert "#010203" not in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_page_is_small(page):
    assert 100_000 < len(page) < 2_000_000


def test_what_users_wrote_is_escaped(content):
    attack = "<script>alert('x')</script>&"
    path = replace(
        content.paths[0],
        name=attack,
        maps=tuple(replace(m, name=attack) for m in content.paths[0].maps),
    )
    hostile = replace(
        content, title=attack, subtitle=attack, command=attack, warnings=(attack,), paths=(path,),
        versions={attack: attack}, scores={attack: 0.5}, score_unit=attack, created=attack,
    )  # fmt: skip
    outline = _parse(build_page(hostile))
    kinds = [attributes.get("type") for tag, attributes in outline.elements if tag == "script"]
    assert kinds == ["application/json", None]  # our numbers and our drawing
    assert outline.text.count(attack) >= 12


def test_dollars_and_underscores_in_names_are_not_taken_for_formulas(content):
    maps = tuple(replace(m, name="a_$b_c$") for m in content.cluster_maps)
    assert "a_$b_c$" in _parse(build_page(replace(content, cluster_maps=maps))).text


def test_the_same_content_makes_the_same_page(content, page):
    assert build_page(content) == page


def test_one_latent_dimension_without_clusters_or_maps():
    latent = torch.linspace(-1, 1, 300)[:, None]
    content = ReportContent(
        title="One",
        latent_map=LatentMap(latent, 0.1 + 0 * latent, torch.arange(300), torch.zeros(300)),
        pca=fit_pca(latent),
        umap=fit_umap(latent, seed=0, epochs=5),
    )
    text = _parse(build_page(content)).text
    assert "only latent axis" in text
    assert "spread 5.8 times as far" in text.replace("\n", " ")
    outline = _parse(build_page(replace(content, clusters=cluster(latent))))
    assert "Clusters and maps" in outline.text


def test_models_that_do_not_move_and_a_single_epoch_are_shown():
    still = GaussianModel(torch.zeros(2, 3, 3), torch.ones(2, 3), torch.full((2, 3), 4.0))
    curve = Curve(frequency=torch.linspace(0, 0.1, 9), correlation=torch.zeros(9))
    content = ReportContent(
        title="Still",
        paths=(DecodedPath(name="nowhere", models=still, is_closed=True),),
        history=(EpochScore(epoch=1, training=0.0, held_out=-0.1),),
        neutral_frc=curve,
    )
    assert "travels 0.0 Å" in _parse(build_page(content)).text.replace("\N{NO-BREAK SPACE}", " ")


def test_commands_in_statements_are_shown_as_code_and_nothing_else_is(content):
    page = build_page(replace(content, scores={}, warnings=("a `cryomix check` <b>said</b> so",)))
    assert "<code>cryomix reproduce</code>" in page
    assert "a <code>cryomix check</code> &lt;b&gt;said&lt;/b&gt; so" in page


def test_nothing_stands_before_what_was_found_where_nothing_varies(content):
    history = tuple(replace(row, training=-0.1, held_out=-0.1) for row in content.history)
    text = _parse(build_page(replace(content, history=history))).text
    assert text.index("No variation has been shown (see beside)") < text.index(
        "one continuous group"
    )
