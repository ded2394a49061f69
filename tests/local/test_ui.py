"""The pages in a real browser, with scripts and without, narrow and wide, in light and in dark."""

import itertools
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

from answers import Answers, kubeconfig, served
from charts import run
from onwire import on_wire
from situations import SITUATIONS, Situation
from staged import NOW, answered, shown, stage
from tiers import missing
from treadle.cli.cluster import connected
from treadle.cli.ui import render
from treadle.cli.ui.orders import Where, groups, of_version
from treadle.cli.ui.serve import serving
from treadle.cli.ui.site import Site
from treadle.cli.ui.versions import versions

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
"""As hack/browser.sh looks for them."""
MODEL = "/models/flights-late"
PATHS = ("/", MODEL, f"{MODEL}/versions", f"{MODEL}/versions/v16", "/reasons/HeldByGate", "/models/none")
WIDTHS, SCHEMES = (360, 1440), ("light", "dark")
LEAST_CONTRAST = 4.5
"""WCAG 2.2, criterion 1.4.3."""
WITHIN_MILLISECONDS = 15_000


@dataclass
class Shop:
    """What an API server answers, and the address of the pages that are made of it."""

    answers: Answers
    address: str

    @property
    def origin(self) -> str:
        return self.address.partition("/?")[0]


@dataclass
class Visit:
    """A page that was opened, and what the browser said and asked meanwhile."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        missing("chromium, which hack/browser.sh installs,")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


def opened(stack: ExitStack, tmp_path: Path, situation: Situation, bucket: Path | None = None) -> Shop:
    answers = Answers(answered(situation, bucket))
    config = kubeconfig(tmp_path / "config", stack.enter_context(served(answers)))
    stack.enter_context(pytest.MonkeyPatch.context()).setenv("KUBECONFIG", str(config))
    cluster = stack.enter_context(connected("", ""))
    return Shop(answers, stack.enter_context(serving(lambda: Site(cluster), 0)))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with ExitStack() as stack:
        yield opened(stack, tmp_path_factory.mktemp("config"), *shown(tmp_path_factory.mktemp("world")))


def entered(
    browser: Browser, shop: Shop, *, width: int = 1440, scheme: str = "light", scripts: bool = True
) -> BrowserContext:
    """Return a context that has opened the address, and so has the key."""
    kind: Any = scheme
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=kind, java_script_enabled=scripts,
        reduced_motion="reduce",
    )  # fmt: skip
    context.set_default_timeout(WITHIN_MILLISECONDS)
    context.request.get(shop.address)
    return context


def visit(context: BrowserContext, shop: Shop, path: str) -> Visit:
    found = Visit(context.new_page())
    found.page.on("console", lambda message: found.said.append(message.text))
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.on("request", lambda request: found.asked.append(request.url))
    found.page.goto(shop.origin + path, wait_until="load")
    return found


WAYS = list(itertools.product(PATHS, WIDTHS, (True, False)))


@pytest.mark.parametrize(
    ("path", "width", "scripts"), WAYS, ids=[f"{p} {w} {'js' if s else 'no js'}" for p, w, s in WAYS]
)
def test_nothing_overflows_complains_or_asks_elsewhere(
    browser: Browser, shop: Shop, path: str, width: int, scripts: bool
) -> None:
    with entered(browser, shop, width=width, scripts=scripts) as context:
        found = visit(context, shop, path)
        root = found.page.locator("html")
        # Evaluated by the driver, also where the page's own scripts are off.
        assert root.evaluate("node => node.scrollWidth <= node.clientWidth")
        assert root.evaluate(OVERFLOWING) == []
        is_there = path != "/models/none"
        assert [line for line in found.said if is_there or "404" not in line] == []
        assert [url for url in found.asked if not url.startswith(f"{shop.origin}/")] == []
        assert found.page.locator("h1").is_visible()


OVERFLOWING = """root => [...root.querySelectorAll("main *")].filter(node => {
  const box = node.getBoundingClientRect();
  if (!box.width || node.closest(".scroll, .sections, .sr, svg")) return false;
  return box.right > root.clientWidth + 0.5 || box.left < -0.5;
}).map(node => node.outerHTML.slice(0, 120))"""

SITUATED = list(itertools.product(SITUATIONS, WIDTHS))


@pytest.mark.parametrize(("name", "width"), SITUATED, ids=[f"{name} {width}" for name, width in SITUATED])
def test_every_situation_fits(browser: Browser, tmp_path: Path, name: str, width: int) -> None:
    with ExitStack() as stack:
        shop = opened(stack, tmp_path, SITUATIONS[name]())
        context = stack.enter_context(entered(browser, shop, width=width))
        for path in ("/", MODEL):
            found = visit(context, shop, path)
            root = found.page.locator("html")
            assert root.evaluate("node => node.scrollWidth <= node.clientWidth")
            assert root.evaluate(OVERFLOWING) == []


def test_all_that_a_script_shows_is_there_without_it(browser: Browser, shop: Shop) -> None:
    """The texts of both are the same, but for the button that a script adds, and ages."""
    texts = []
    for scripts in (True, False):
        with entered(browser, shop, scripts=scripts) as context:
            found = visit(context, shop, MODEL).page
            texts.append(re.sub(r"\(.*? ago\)|\(in .*?\)|in \d+ s", "", found.locator("main").inner_text()))
            assert found.get_by_role("button", name="Pause updates").count() == int(scripts)
    assert texts[0] == texts[1]


# What every reader gets.

COLOURS = list(itertools.product((MODEL, f"{MODEL}/versions/v16", "/reasons/HeldByGate"), SCHEMES))


@pytest.mark.parametrize(("path", "scheme"), COLOURS, ids=[f"{path} {scheme}" for path, scheme in COLOURS])
def test_each_text_stands_out_from_its_ground(browser: Browser, shop: Shop, path: str, scheme: str) -> None:
    with entered(browser, shop, scheme=scheme) as context:
        page = visit(context, shop, path).page
        page.evaluate("() => document.querySelectorAll('details').forEach(node => { node.open = true })")
        weak = [row for row in page.evaluate(CONTRASTS) if row["contrast"] < LEAST_CONTRAST]
        assert weak == []
        dark = page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(19, 21, 24)"
        assert dark == (scheme == "dark")


# Relative luminance and contrast as WCAG 2.2 defines them; grounds lie on each other from the root on.
CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = text => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((part, place) => place == 3 ? part / 255 : part);
  };
  const over = (top, below) => [0, 1, 2].map(part => top[part] * top[3] + below[part] * (1 - top[3]));
  const light = colour => {
    const linear = part => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
    const [r, g, b] = colour.map(part => linear(part / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some(child => child.nodeType == 3 && child.textContent.trim());
    const box = node.getBoundingClientRect();
    if (!own || !box.width || node.closest(".sr, .skip, script, style")) continue;
    let ground = [255, 255, 255];
    const above = [];
    for (let each = node; each; each = each.parentElement) above.unshift(each);
    for (const each of above) ground = over(rgba(getComputedStyle(each).backgroundColor), ground);
    const style = getComputedStyle(node);
    const ink = over(rgba(node.closest("svg") ? style.fill : style.color), ground);
    const pair = [light(ink), light(ground)];
    const contrast = (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
    found.push({ text: node.textContent.trim().slice(0, 40), contrast: Math.round(contrast * 100) / 100 });
  }
  return found;
}"""


def test_tables_stay_tables_where_they_are_folded(browser: Browser, shop: Shop) -> None:
    """A narrow page shows rows as blocks; for a screen reader they stay rows of a table."""
    with entered(browser, shop, width=360) as context:
        table = visit(context, shop, MODEL).page.locator("#versions").get_by_role("table")
        assert table.get_by_role("row").count() == 13
        assert table.get_by_role("columnheader").all_inner_texts()[0].strip() == "Version"
        assert "v16" in table.get_by_role("row", name="v16").get_by_role("rowheader").inner_text()


def test_the_keyboard_reaches_the_sections(browser: Browser, shop: Shop) -> None:
    with entered(browser, shop) as context:
        page = visit(context, shop, MODEL).page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Now"
        page.get_by_role("link", name="Commands", exact=True).click()
        assert page.url.endswith("#commands") and page.locator("#commands h2").is_visible()


def test_landmarks_have_names(browser: Browser, shop: Shop) -> None:
    with entered(browser, shop) as context:
        page = visit(context, shop, MODEL).page
        names = ("Now", "Why", "Lineage", "Drift", "Versions", "Card", "Commands")
        assert [page.get_by_role("region", name=name, exact=True).count() for name in names] == [1] * 7
        assert page.get_by_role("main").count() == 1
        assert page.get_by_role("navigation", name="Sections").get_by_role("link").all_inner_texts() == list(names)
        bar = page.get_by_role("img", name="v16 answers 95 % of the requests, v18 5 %")
        assert bar.count() == 1


def test_a_change_is_shown_without_loading_the_page_again(browser: Browser, shop: Shop, tmp_path: Path) -> None:
    """What a person has opened stays open, and has the focus; nothing moves while it is paused."""
    with ExitStack() as stack:
        situation = SITUATIONS["a canary comes of a retrain"]()
        live = opened(stack, tmp_path, situation)
        context = stack.enter_context(entered(browser, live))
        page = visit(context, live, MODEL).page
        page.evaluate("window.isTheSame = true")
        page.locator("#conditions summary").click()
        assert page.locator(".badges").first.inner_text().split() == [
            "serving",
            "Answering",
            "trial",
            "Canary",
            "5",
            "%",
            "inputs",
            "Healthy",
        ]
        live.answers.routes |= answered(SITUATIONS["rolled back, the old version serving"]())
        page.locator(".badges").get_by_text("RolledBack").wait_for()
        assert page.evaluate("window.isTheSame")
        assert page.locator("#conditions").get_attribute("open") is not None
        assert page.evaluate("document.activeElement.parentElement.id") == "conditions"
        page.get_by_role("button", name="Pause updates").click()
        live.answers.routes |= answered(situation)
        assert page.get_by_role("button", name="Update again").is_visible()


def test_who_has_no_key_sees_nothing(browser: Browser, shop: Shop) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        answer = page.goto(shop.origin + MODEL)
        assert answer is not None and answer.status == 403
        assert page.inner_text("body").strip() == "open the address that `treadle ui` printed; it holds the key"


def test_another_page_can_neither_read_nor_frame_it(browser: Browser, shop: Shop) -> None:
    """A page of another origin, such as any site that one visits meanwhile."""
    with ExitStack() as stack:
        url = stack.enter_context(served(Answers({"GET /": (200, "<title>x</title>", {"Content-Type": "text/html"})})))
        context = stack.enter_context(entered(browser, shop))
        page = context.new_page()
        page.goto(url.replace("127.0.0.1", "localhost"))
        with pytest.raises(Error, match="Failed to fetch"):
            page.evaluate(
                "url => fetch(url, {credentials: 'include'}).then(found => found.text())", shop.origin + MODEL
            )
        frame = "url => { const f = document.createElement('iframe'); f.src = url; document.body.append(f) }"
        with page.expect_event("framenavigated") as navigated:
            page.evaluate(frame, shop.origin + MODEL)
        assert "flights-late" not in navigated.value.content()


def test_on_paper_it_is_whole(browser: Browser, shop: Shop) -> None:
    with entered(browser, shop) as context:
        page = visit(context, shop, MODEL).page
        page.emulate_media(media="print")
        assert not page.locator(".sections").is_visible() and page.locator("#versions").is_visible()
        assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.pdf()[:5] == b"%PDF-"


# Lines for kubectl.

DRY = ("annotate", "patch", "scale")


def test_each_line_for_kubectl_does_what_it_says(tmp_path: Path) -> None:
    """Against the embedded API, which answers as a real one does; what changes something is a dry run."""
    situation = stage()
    log = tmp_path / "log"
    log.write_text("it answers\n")
    pods = [{**pod, "spec": {"containers": [{"name": "server", "image": "i"}]}} for pod in situation.pods]
    [model] = render.named(situation.estate)
    made = versions(model)
    told = [*groups(model, made, Where("demo"), NOW), *of_version(model, made[1], Where("demo"))]
    lines = [shlex.split(order.kubectl)[1:] for group in told for order in group.orders if order.kubectl]
    with on_wire([*situation.objects, *pods], lambda *_, **__: log) as server:
        config = kubeconfig(tmp_path / "config", server)
        for verb, *rest in lines:
            if "-w" in rest or "--raw" in rest:
                continue  # Neither a watch that has no end, nor a pod that nobody runs.
            said = run("kubectl", verb, *rest, *(["--dry-run=server"] if verb in DRY else []), kubeconfig=config)
            # The pods of a run that ended long ago are gone, and with them their log.
            assert said.strip() or verb == "logs", (verb, rest)
    assert {verb for verb, *_ in lines} == {*DRY, "get", "describe", "logs", "wait"}
