#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page in Debian's Chromium: what people do with it, what a hostile model says, who cannot see.

The model is a scripted one (tests/scripted.py): a mark in the message chooses the answer. With --fake the
page runs against tests/web/fake.py instead of the server, in which case what only a server can do is
skipped. $SOBRE_TEST_VENV (or build/venv) holds Playwright and axe-core, and the test restarts itself there."""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]
VENV = os.path.abspath(os.environ.get("SOBRE_TEST_VENV") or os.path.join(HERE, "../../build/venv"))
if os.path.exists(VENV + "/bin/python") and not sys.prefix.startswith(VENV):
    os.execv(VENV + "/bin/python", [VENV + "/bin/python", *sys.argv])
try:
    from playwright.sync_api import TimeoutError as PlaywrightTimeout
    from playwright.sync_api import expect, sync_playwright
except ImportError:
    print("1..0 # SKIP no Playwright: tools/test-env installs it")
    sys.exit(77)

import hostile_markdown  # noqa: E402
import scripted  # noqa: E402
from tap import case, finish, skip  # noqa: E402

CHROMIUM = shutil.which("chromium")
if not CHROMIUM:
    print("1..0 # SKIP no chromium")
    sys.exit(77)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
FAKE = "--fake" in sys.argv
ROOT = os.path.abspath(os.path.join(HERE, "../.."))
SAMPLE = open(os.path.join(ROOT, "tests/web/sample.md"), encoding="utf-8").read()
AXE = next(iter(glob.glob(VENV + "/lib/python*/site-packages/axe_playwright_python/axe.min.js")), None)
complaints = []  # of every page: errors on the console, exceptions, what the policy refused


class FakeServer:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="sobre-page-")
        subprocess.run([ROOT + "/tools/bundle-page", ROOT + "/web", self.folder + "/page"], check=True)
        self.process = subprocess.Popen([sys.executable, ROOT + "/tests/web/fake.py", self.folder + "/page"],
                                        stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def close(self):
        self.process.kill()
        shutil.rmtree(self.folder)


class RealServer:
    def __init__(self, *options):
        from served import Served
        self.folder = tempfile.mkdtemp(prefix="sobre-page-")
        scripts = {**scripted.SCRIPTS, "sample": [SAMPLE[i:i + 3] for i in range(0, len(SAMPLE), 3)]}
        loops = {"forever": (["la", " lo", ". "] * 30)[:-1] + [".\n\n"]}
        model = scripted.write(self.folder + "/scripted.gguf", scripts, loops, n_ctx=65536)
        self.served = Served("--ctx", "65536", *options, model=model)
        self.url = "http://127.0.0.1:%d/" % self.served.port

    def close(self):
        self.served.close()
        shutil.rmtree(self.folder)


def watch(page):
    page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
    page.on("pageerror", lambda e: complaints.append(str(e)))
    return page


def open_page(browser, url, path="", **options):
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, "locale": "en-GB", **options})
    context.add_init_script("document.addEventListener('securitypolicyviolation', "
                            "(e) => console.error('policy: ' + e.violatedDirective + ' ' + e.blockedURI))")
    page = watch(context.new_page())
    page.goto(url + path)
    page.wait_for_selector("textarea, .sign-in")
    return page


def say(page, text):
    n = page.locator(".message").count()
    page.fill("#message", text)
    page.press("#message", "Enter")
    page.wait_for_function("(n) => document.querySelectorAll('.message').length > n + 1", arg=n)


def last(page):
    return page.locator(".message.answer").last


def settled(page, timeout=30000):
    """Waits for the last answer's end."""
    page.wait_for_function("() => { const a = [...document.querySelectorAll('.message.answer')].at(-1);"
                           " return a && !a.classList.contains('running') && a.querySelector('.figures'); }", timeout=timeout)


def api(page, method, path, body=None):
    return page.evaluate("""async ([method, path, body]) => {
        const r = await fetch("sobre/v1/" + path, { method, headers: { "Content-Type": "application/json" },
                                                    body: body === null ? undefined : JSON.stringify(body) });
        return [r.status, await r.text()];
    }""", [method, path, body])


def import_messages(page, title, texts):
    """A conversation of these texts, people's and the model's in turn; its id."""
    messages = [{"id": i + 1, "parent": i, "role": "assistant" if i % 2 else "user", "state": "done",
                 "created_ms": 1700000000000 + i, "content": text} for i, text in enumerate(texts)]
    status, text = api(page, "POST", "import", {"sobre_conversation": 1, "title": title, "settings": {},
                                                "created_ms": 1700000000000, "leaf": len(texts), "messages": messages})
    assert status == 200, text
    link = page.locator(".list a", has_text=title).first
    link.wait_for()
    return link.get_attribute("href")[4:]


# ---- the cases ----

def first_message(browser, url):
    page = open_page(browser, url)
    case("an empty page greets, with the focus in the message box",
         page.locator(".welcome h1").is_visible() and page.evaluate("document.activeElement.id") == "message")
    page.evaluate("""() => {
        window.spoken = [];
        const node = document.querySelector(".unseen[role=status]");
        new MutationObserver(() => window.spoken.push(node.textContent)).observe(node, { childList: true, characterData: true, subtree: true });
    }""")
    say(page, "Good morning to you all [sample]")
    settled(page)
    spoken = page.evaluate("window.spoken")
    case("a screen reader hears that an answer comes, and then all of it, once", len(spoken) <= 2 and spoken[-1].startswith("Answer: A **heat"), spoken)
    text = last(page).inner_text()
    case("the first message is answered, in Markdown", last(page).locator("table td").count() > 5 and "heat pump" in text, text)
    page.wait_for_selector(".katex", timeout=5000)
    case("formulas are drawn", last(page).locator(".katex").count() >= 3)
    page.wait_for_selector(".hljs-keyword", timeout=5000)
    case("code has colours and a button that copies", last(page).locator(".code button").count() == 1)
    figures = last(page).locator(".figures").inner_text()
    case("an answer tells tokens a second and joules with their label",
         "tokens/s" in figures and "J" in figures and ("estimated" in figures or "measured" in figures), figures)
    page.wait_for_function("() => document.querySelector('.energy').textContent.includes('J')", timeout=5000)
    energy = page.locator(".energy").inner_text()
    case("the conversation tells its sum", "J" in energy and ("estimated" in energy or "measured" in energy), energy)
    title = page.locator(".list a .title").first.inner_text()
    case("the title comes from the first message", title.startswith("Good morning to you all"), title)
    case("no more than one answer was asked for", page.locator(".message").count() == 2)
    say(page, "[think] hm")
    settled(page)
    folded = last(page).locator("details.reasoning")
    case("reasoning is folded away", folded.count() == 1 and not folded.evaluate("e => e.open") and
         "greet" in folded.locator(".md").text_content(), last(page).inner_text())
    page.context.close()


def stop(browser, url):
    page = open_page(browser, url)
    say(page, "[forever] sing")
    page.wait_for_function("() => (document.querySelector('.answer .md:not(.reasoning .md)')?.textContent || '').length > 60")
    page.click(".send.stopping")
    settled(page)
    one = last(page).inner_text()
    time.sleep(0.5)
    case("stop ends the answer and keeps its words", "Stopped" in one and last(page).inner_text() == one and "la" in one, one[-200:])
    say(page, "[forever] again")
    page.wait_for_selector(".answer.running")
    page.keyboard.press("Escape")
    settled(page)
    case("Escape stops, too", "Stopped" in last(page).inner_text())
    page.context.close()


def sings(text):
    """Is it "la lo. la lo." to the end, which may be half a word?"""
    words = text.split()
    return all(w == ("la" if i % 2 == 0 else "lo.") for i, w in enumerate(words[:-1]))


def reload(browser, url):
    page = open_page(browser, url)
    say(page, "[forever] count on me")
    length = "() => ([...document.querySelectorAll('.message.answer > .md')].at(-1)?.textContent || '').length"
    page.wait_for_function(length + " && %s() > 100" % ("(" + length + ")"))
    before = page.evaluate(length)
    page.reload()
    page.wait_for_selector(".answer.running")
    page.wait_for_function("(n) => (%s)() > n + 200" % length, arg=before)
    text = last(page).locator("> .md").inner_text()
    case("a reload in the middle of an answer goes on, nothing lost or doubled", sings(text), text[-300:])
    page.context.set_offline(True)
    time.sleep(0.3)
    page.context.set_offline(False)
    n = page.evaluate(length)
    page.wait_for_function("(n) => (%s)() > n + 200" % length, arg=n, timeout=15000)
    page.keyboard.press("Escape")
    settled(page)
    text = last(page).locator("> .md").inner_text()
    case("a lost connection is taken up again", sings(text), text[-300:])
    page.context.close()


def two_browsers(browser, url):
    a = open_page(browser, url)
    b = open_page(browser, url)
    say(a, "Hello from the first browser")
    settled(a)
    b.locator(".list a", has_text="Hello from the first").click()
    settled(b)
    case("a second browser opens the conversation", b.locator(".message").count() == 2)
    say(b, "And from the second")
    settled(b)
    a.wait_for_function("() => document.querySelectorAll('.message').length === 4")
    settled(a)
    case("two browsers stay in step", a.locator(".messages").inner_text().replace("1", "") == b.locator(".messages").inner_text().replace("1", "")
         or a.locator(".message.mine").nth(1).inner_text() == "And from the second")
    say(a, "[forever] now")
    b.wait_for_selector(".answer.running")
    b.wait_for_function("() => [...document.querySelectorAll('.answer .md')].at(-1).textContent.length > 60")
    b.click(".send.stopping")
    settled(a)
    case("the second sees an answer grow, and may stop it", "Stopped" in last(a).inner_text())
    a.context.close()
    b.context.close()


def late_feeds(browser, url):
    """What happens after a reply and before the feed that is opened with it."""
    page, other = open_page(browser, url), open_page(browser, url)
    held = []

    def let_go():
        while not held:
            page.wait_for_timeout(20)
        other.wait_for_timeout(500)  # the answer is over by now
        held.pop().continue_()
    page.route("**/sobre/v1/events?c=*", lambda route: held.append(route))
    say(page, "Hello, late feed [sample]")
    let_go()
    settled(page)
    page.wait_for_function("() => document.querySelector('.energy').textContent.includes('J')", timeout=5000)
    case("an answer that ends before its feed is there adds to the conversation's sum", "J" in page.locator(".energy").inner_text())
    while held:
        held.pop().continue_()
    page.reload()
    page.wait_for_selector(".answer .figures")
    api(other, "POST", "conversations/%s/messages" % page.url.split("/c/")[1], {"text": "From elsewhere"})
    let_go()
    page.wait_for_function("() => document.querySelectorAll('.message').length === 4", timeout=5000)
    case("what another browser says before it is there is shown", "From elsewhere" in page.locator(".message.mine").last.inner_text())
    other.context.close()
    page.context.close()


def branches(browser, url):
    page = open_page(browser, url)
    say(page, "First wording")
    settled(page)
    say(page, "A second question")
    settled(page)
    page.locator(".message.mine").first.hover()
    page.locator(".message.mine").first.get_by_label("Edit", exact=True).click()
    page.fill(".editor textarea", "Other wording")
    page.press(".editor textarea", "Enter")
    page.wait_for_function("() => document.querySelectorAll('.message').length === 2")
    settled(page)
    group = page.locator(".message.mine .branches")
    case("an edit makes a branch: 2 of 2", group.inner_text().strip() == "2/2" and
         "Other wording" in page.locator(".message.mine").inner_text(), page.locator(".messages").inner_text())
    group.get_by_label("Previous version").click()
    try:
        page.wait_for_function("() => { const t = [...document.querySelectorAll('.message')].map((e) => e.innerText);"
                               " return t.length === 4 && t[0].includes('First wording') && t[2].includes('A second question'); }",
                               timeout=10000)
        whole = True
    except PlaywrightTimeout:
        whole = False
    case("the first branch is whole again", whole, page.locator(".messages").inner_text())
    last(page).get_by_label("Another answer").click()
    page.wait_for_function("() => [...document.querySelectorAll('.answer')].at(-1).querySelector('.branches')")
    settled(page)
    case("another answer is a branch, too", last(page).locator(".branches").inner_text().strip() == "2/2")
    page.reload()
    page.wait_for_selector(".message")
    case("what is shown survives a reload", page.locator(".message").count() == 4 and
         last(page).locator(".branches").inner_text().strip() == "2/2")
    page.context.close()


def long_conversation(browser, url):
    page = open_page(browser, url)
    texts = ["Message %d\n\n%s" % (i, "Some words of it. " * (3 + i % 30)) for i in range(5000)]
    c = import_messages(page, "Five thousand", texts)
    page.goto(url)
    page.wait_for_selector(".list a")
    times = []
    for _ in range(3):
        page.evaluate("location.hash = '#/'")
        page.wait_for_selector(".welcome")
        ms = page.evaluate("""async (c) => {
            const t0 = performance.now();
            location.hash = "#/c/" + c;
            for (;;) {
                await new Promise(requestAnimationFrame);
                const all = [...document.querySelectorAll(".message")];
                if (all.at(-1)?.textContent.includes("Message 4999")) break;
            }
            await new Promise((r) => requestAnimationFrame(() => setTimeout(r)));
            return performance.now() - t0;
        }""", c)
        times.append(ms)
    case("5 000 messages open within a second", max(times) <= 1000, times)
    print("# opened in %s ms" % ", ".join("%.0f" % t for t in times))
    at_end = page.evaluate("() => { const t = document.querySelector('.thread'); return t.scrollHeight - t.clientHeight - t.scrollTop; }")
    case("it opens at its end", at_end < 40, at_end)
    seen = page.evaluate("""async () => {
        const t = document.querySelector(".thread");
        t.dispatchEvent(new WheelEvent("wheel"));
        t.scrollTop = 200;
        await new Promise((r) => setTimeout(r, 50));
        const first = document.querySelector(".message");
        const top = first.getBoundingClientRect().top;
        for (let i = 0; i < 100 && document.querySelectorAll(".message").length < 60; i++) await new Promise((r) => setTimeout(r, 20));
        await new Promise((r) => setTimeout(r, 200));
        return [document.querySelectorAll(".message").length, Math.abs(first.getBoundingClientRect().top - top)];
    }""")
    case("older messages come when one scrolls up, and nothing jumps", seen[0] > 60 and seen[1] < 60, seen)
    page.context.close()


def reading_position(browser, url):
    page = open_page(browser, url, viewport={"width": 1000, "height": 500})
    say(page, "[forever] and a long one")
    page.wait_for_function("() => document.querySelector('.thread').scrollTop > 300")
    page.locator(".thread").hover()
    page.mouse.wheel(0, -200)
    time.sleep(0.2)
    before = page.evaluate("document.querySelector('.thread').scrollTop")
    height = page.evaluate("document.querySelector('.thread').scrollHeight")
    page.wait_for_function("(h) => document.querySelector('.thread').scrollHeight > h + 100", arg=height)
    after = page.evaluate("document.querySelector('.thread').scrollTop")
    case("the reading position is never stolen", abs(after - before) < 2, (before, after))
    page.click(".jump")
    height = page.evaluate("document.querySelector('.thread').scrollHeight")
    # Between a growth and its frame the end is out of sight; unfollowed it would stay so.
    page.wait_for_function("(h) => { const t = document.querySelector('.thread');"
                           " return t.scrollHeight > h + 300 && t.scrollHeight - t.clientHeight - t.scrollTop < 200"
                           " && document.querySelector('.jump').hidden; }", arg=height)
    case("a button leads back to the end, which is followed again", True)
    page.keyboard.press("Escape")
    settled(page)
    page.context.close()


def link_prefills(browser, url):
    page = open_page(browser, url, "?q=delete+everything")
    time.sleep(0.5)
    case("a link prefills and never sends", page.input_value("#message") == "delete everything" and
         page.locator(".message").count() == 0 and "q=" not in page.url, page.url)
    page.context.close()


def files(browser, url):
    page = open_page(browser, url)
    page.set_input_files("input[type=file]", [{"name": "notes.txt", "mimeType": "text/plain", "buffer": b"line ```` one\nline two\n"}])
    page.wait_for_selector(".files li")
    say(page, "What is in it?")
    settled(page)
    mine = page.locator(".message.mine").inner_text()
    case("a text file is attached by name", "notes.txt" in mine and "line ```` one" in mine, mine)
    page.set_input_files("input[type=file]", [{"name": "big.txt", "mimeType": "text/plain", "buffer": b"x" * 1000001}])
    page.wait_for_selector(".notice:not([hidden])")
    note = page.locator(".notice").inner_text()
    case("one that is too big is refused with the limit", "big.txt" in note and "1\u00a0MB" in note, note)
    page.set_input_files("input[type=file]", [{"name": "a.bin", "mimeType": "text/plain", "buffer": b"\xff\xfe\x00"}])
    page.wait_for_function("() => document.querySelector('.notice').textContent.includes('a.bin')")
    case("one that is no text is refused", "not a text file" in page.locator(".notice").inner_text())
    page.context.close()


def manage(browser, url):
    page = open_page(browser, url)
    say(page, "A conversation about walnuts")
    settled(page)
    row = page.locator(".list li").filter(has_text="walnuts")
    row.hover()
    row.locator("button").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.fill("dialog input", "Nuts")
    page.press("dialog input", "Enter")
    page.wait_for_function("() => document.querySelector('.title').textContent === 'Nuts'")
    case("a conversation is renamed", page.locator(".list .title").first.inner_text() == "Nuts")
    page.fill("input[type=search]", "walnuts")
    page.wait_for_function("() => document.querySelectorAll('.list li').length === 1")
    case("search finds words of messages", page.locator(".list .title").inner_text() == "Nuts")
    page.fill("input[type=search]", "nothing has this word")
    page.wait_for_selector(".list .hint")
    page.fill("input[type=search]", "")
    page.wait_for_function("() => document.querySelectorAll('.list li').length > 1")
    for name, kind in (("Export as Markdown", "md"), ("Export as JSON", "json")):
        if FAKE:
            skip("export as " + kind, "the fake has none")
            continue
        row = page.locator(".list li").filter(has_text="Nuts")
        row.hover()
        row.locator("button").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=name).click()
        text = open(download.value.path(), encoding="utf-8").read()
        case("export as " + kind, "walnuts" in text and "Hello" in text and download.value.suggested_filename.endswith(kind), text[:300])
        if kind == "json":
            exported = json.loads(text)
    page.get_by_label("Instructions and sampling").click()
    page.fill("dialog textarea", "Be brief.")
    page.fill("dialog input[name=temperature]", "0.2")
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector(".system-note:not([hidden])")
    case("instructions are kept with the conversation", "Be brief." in page.locator(".system-note").inner_text())
    page.locator(".list li").filter(has_text="Nuts").hover()
    page.locator(".list li").filter(has_text="Nuts").locator("button").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.locator("dialog").get_by_role("button", name="Delete").click()
    page.wait_for_function("() => ![...document.querySelectorAll('.list .title')].some((e) => e.textContent === 'Nuts')")
    case("a conversation is deleted", page.locator(".welcome").is_visible())
    if not FAKE:
        status, text = api(page, "POST", "import", exported)
        page.locator(".list a", has_text="Nuts").wait_for()
        case("what was exported comes back", status == 200, text)
        overtaken(page, exported)
    page.context.close()


def overtaken(page, exported):
    """A list that was read before a conversation came, and arrives after the event that told of it."""
    held = []
    page.route("**/sobre/v1/conversations?*", lambda route: held.append((route, route.fetch())))
    page.fill("input[type=search]", "walnuts")
    page.fill("input[type=search]", "")
    while not held:
        page.wait_for_timeout(20)
    api(page, "POST", "import", {**exported, "title": "Overtaking"})
    row = page.locator(".list a", has_text="Overtaking")
    row.wait_for()
    with page.expect_response("**/sobre/v1/conversations?*"):
        for route, reply in held:
            route.fulfill(response=reply)
    page.wait_for_timeout(200)
    case("what an event told stays when an older list arrives", row.count() == 1)
    page.unroute("**/sobre/v1/conversations?*")


def models(browser, url):
    page = open_page(browser, url)
    page.click(".model-button")
    page.wait_for_selector(".models li")
    text = page.locator("dialog").inner_text()
    case("the model picker tells memory and licence", "of memory" in text and "Licence:" in text and "Apache-2.0" in text, text[:400])
    page.keyboard.press("Escape")
    case("Escape closes it and the focus returns", page.evaluate("document.activeElement.className") == "model-button")
    page.get_by_role("button", name="Energy of the day").click()
    page.wait_for_selector(".chart")
    case("the day has a chart, and the same as a table", page.locator(".day-box table tbody tr").count() >= 1)
    legend = page.locator(".legend").inner_text()
    case("estimates are hatched, and called so", page.locator(".chart .guessed").count() >= 1 and legend.strip() == "Estimated", legend)
    page.keyboard.press("Escape")
    measured_day(page)
    page.context.close()


def measured_day(page):
    """A day of both kinds, and a key with a budget."""
    nothing = {"answers": 0, "tokens": 0, "energy": {"source": "unavailable"}}
    hours = [dict(nothing) for _ in range(24)]
    hours[3] = {"answers": 2, "tokens": 20, "energy": {"source": "measured", "energy_uj": 41234567, "energy_uj_estimated": 0}}
    hours[4] = {"answers": 3, "tokens": 30, "energy": {"source": "estimated", "energy_uj": 60000000, "energy_uj_estimated": 19000000}}
    day = {"hours": hours, "sum": {"answers": 5, "tokens": 50, "energy": {
        "source": "estimated", "energy_uj": 101234567, "energy_uj_estimated": 19000000}},
        "budget": {"limit_uj": 500000000, "left_uj": 398765433, "renews_s": 7200}}
    page.route("**/sobre/v1/energy?*", lambda route: route.fulfill(json=day))
    page.get_by_role("button", name="Energy of the day").click()
    page.wait_for_selector("svg.chart > g > .bar")
    text = page.locator(".day-box").inner_text()
    bars = page.locator("svg.chart:not(.swatch) > g > rect")
    case("what was measured stands apart from what was estimated", bars.count() == 3 and
         page.locator("svg.chart:not(.swatch) > g > .guessed").count() == 1 and "82.2\u00a0J measured + about 20\u00a0J, estimated" in text and
         page.locator(".legend").inner_text().split() == ["Measured", "Estimated"], text)
    page.locator(".day-box summary").click()
    cells = page.locator(".day-box tbody tr").nth(1).locator("td").all_inner_texts()
    case("in the table, too", cells[1:3] == ["41\u00a0J", "20\u00a0J"] and cells[0].startswith("about "), cells)
    case("a key's budget says what is left of it", "Left of today\u2019s budget: 399 J of 500 J; it begins anew in 2 h." in text.replace("\u00a0", " ") and
         page.get_by_label("Energy left of today").evaluate("e => e.value / e.max") == 398765433 / 500000000, text)
    page.keyboard.press("Escape")
    day["budget"]["left_uj"] = 0
    page.get_by_role("button", name="Energy of the day").click()
    page.locator(".budget", has_text="budget of 500\u00a0J is used up").wait_for()
    case("or that nothing is", True)
    page.keyboard.press("Escape")
    page.unroute("**/sobre/v1/energy?*")


def receipt(browser, url):
    page = open_page(browser, url, permissions=["clipboard-read", "clipboard-write"])
    say(page, "What does it cost? [sample]")
    settled(page)
    last(page).locator(".receipt-button").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".receipt-facts")
    page.wait_for_selector("dialog a.button", timeout=20000)  # settled
    text = page.locator("dialog").inner_text()
    said = ("Reading the prompt", "Writing the answer", "Source", "estimated", "Range (95 %)", "between", "By other fair ways",
            "Answers at once", "settled and signed", "Signed with key", "Hash (SHA-256)")
    case("an answer's joules open its receipt", all(w in text for w in said), [w for w in said if w not in text] + [text])
    case("no estimate is called measured there", "measured" not in text.lower().replace("measurement", ""), text)
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as JSON").click()
    name, exported = download.value.suggested_filename, open(download.value.path(), "rb").read()
    told = json.loads(exported)
    case("it is exported as it was signed", name == "sobre-receipt-%s.json" % told["id"] and told["hash"] in text and
         told["key_id"] in text and told["settled"] is True, (name, told, text))
    page.get_by_label("Copy the command").click()
    page.get_by_label("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    case("the command that verifies it is copied", copied == "sobre energy verify " + name, copied)
    with page.expect_download() as download:
        page.get_by_role("link", name="this server\u2019s public keys").click()
    if not FAKE:
        from serve import SOBRE
        folder = tempfile.mkdtemp(prefix="sobre-verify-")
        with open(os.path.join(folder, name), "wb") as f:
            f.write(exported)
        words = [*copied.split()[1:], "--key", str(download.value.path())]
        d = subprocess.run([os.path.abspath(SOBRE), *words], cwd=folder, env={**os.environ, "SOBRE_HOME": folder, "LC_ALL": "C"}, capture_output=True)
        case("the command says yes, elsewhere with the server's keys", d.returncode == 0, d)
        shutil.rmtree(folder)
    page.keyboard.press("Escape")
    case("Escape closes it, and the focus returns", page.evaluate("document.activeElement.className") == "receipt-button")
    provisional_receipt(page, told)
    page.context.close()


def provisional_receipt(page, told):
    """One that is not settled yet, then is; and answers whose receipt nobody has."""
    asked = []
    first = {k: v for k, v in told.items() if k not in ("hash", "key_id", "sig", "prev_hash")}
    first.update(settled=False, source={**told["source"], "excludes": ["memory", "disks"]})
    more = {"avoided_uj": 2345678, "tokens": {**told["tokens"], "rejected": 7},
            "co2e": {"mg": 0.0123, "g_per_kwh": 56, "zone": "FR", "year": 2023, "kind": "average", "source": "some table",
                     "note": "the file is old"},
            "cost": {"amount": "0.000000420", "currency": "EUR", "per_kwh": "0.250000000"},
            "wall": {"base_mw": 30000, "basis": "at the wall", "kind": "calibrated", "label": "estimated", "loads": 18, "share_ns": 1,
                     "mean_error_permille": 21, "worst_error_permille": 30, "slope_permille": 1300, "u95_uj": [26123456, 36123456],
                     "wall_uj": 31234567}}
    pattern = "**/sobre/v1/receipts/*"

    def reply(route):
        asked.append(0)
        route.fulfill(json={**(told if len(asked) > 1 else first), **more})
    page.route(pattern, reply)
    last(page).locator(".receipt-button").click()
    page.wait_for_selector(".receipt-facts")
    text = page.locator("dialog").inner_text()
    case("a provisional receipt says so, and has nothing to export yet", "provisional" in text and "Not seen\nmemory, disks" in text and
         page.locator("dialog a.button").count() == 0, text)
    page.wait_for_selector("dialog a.button")
    text = page.locator("dialog").inner_text()
    case("it is asked for again until it is settled", len(asked) == 2 and "settled and signed" in text, text)
    case("the grid and the cost stand apart, each with its source", all(w in text for w in (
        "0.01 mg CO\u2082e at 56 g/kWh", "FR, 2023, average; some table; the file is old", "0.0000004 EUR at 0.25 EUR/kWh")), text)
    case("what was guessed in vain and what the cache spared", "7 guessed in vain" in text and "about 2\u00a0J, estimated; in no sum" in text, text)
    case("the wall is a line of its own, with two digits, and no measurement", "At the wall\nabout 31\u00a0J (between 26\u00a0J and 36\u00a0J), "
         "estimated by a fit of 18 loads against a plug, mean error 2.1 %" in text, text)
    page.keyboard.press("Escape")
    page.unroute(pattern)
    page.route(pattern, lambda route: route.fulfill(status=404, json={"error": {"message": "none"}}))
    n = len(complaints)
    last(page).locator(".receipt-button").click()
    page.locator("dialog", has_text="There is no receipt").wait_for()
    del complaints[n:]  # the browser tells of the 404
    page.keyboard.press("Escape")
    page.unroute(pattern)
    import_messages(page, "Without receipts", ["?", "An old answer"])
    page.locator(".list a", has_text="Without receipts").click()
    page.locator(".answer", has_text="An old answer").wait_for()
    case("an answer without a receipt shows what it did", page.locator(".receipt-button").count() == 0)


def waiting(browser, url):
    """What is shown before the first word."""
    server = None if FAKE else RealServer("--parallel", "1")
    url = url if FAKE else server.url
    page, other = open_page(browser, url), open_page(browser, url)
    record = """() => {
        window.phases = [];
        new MutationObserver(() => { for (const e of document.querySelectorAll(".phase:not([hidden])")) window.phases.push(e.textContent); })
            .observe(document.querySelector(".messages"), { childList: true, subtree: true, attributes: true });
    }"""
    page.evaluate(record)
    if not FAKE:
        say(other, "[forever] first")
        other.wait_for_selector(".answer.running")
        third = open_page(browser, url)
        say(third, "[forever] second")
        time.sleep(0.3)
    say(page, "[queue] third")
    page.wait_for_function("() => window.phases.some((t) => t.startsWith('Waiting: '))", timeout=10000)
    first = page.evaluate("window.phases[0]")
    if not FAKE:
        for p in (other, third):
            p.keyboard.press("Escape")
            settled(p)
    case("who waits sees how many come first", first == "Waiting: 2 before you" or (not FAKE and first == "Waiting: 1 before you"), first)
    settled(page)
    if not FAKE:
        page.evaluate("window.phases = []")
        say(page, "word " * 8000)
        settled(page, 120000)
    seen = page.evaluate("window.phases.filter((t) => t.startsWith('Reading: '))")
    case("a prompt being read shows how far it is, and about how long it takes", any(" of " in t for t in seen) and any("left" in t for t in seen), seen)
    if FAKE:
        page.click(".model-button")
        page.get_by_role("button", name="Download (2.46").click()
        page.wait_for_function("() => document.querySelector('dialog progress')?.value > 0")
        bar = page.locator(".pull").inner_text()
        case("a download shows its progress, and a way to stop it", " of " in bar and "Stop" in bar, bar)
        page.get_by_role("button", name="Stop the download").click()
        page.wait_for_function("() => !document.querySelector('dialog progress')")
        case("and is stopped by it", page.get_by_role("button", name="Download (2.46").count() == 1)
    for p in (page, other) if FAKE else (page, other, third):
        p.context.close()
    if server:
        server.close()


def comes_back(browser, url):
    """The server goes and comes: the page says so, and goes on by itself."""
    if FAKE:
        skip("a server that comes back", "the fake forgets everything")
        return
    server = RealServer()
    page = open_page(browser, server.url)
    n = len(complaints)
    say(page, "Before the fall")
    settled(page)
    server.served.kill()
    page.wait_for_selector(".notice:not([hidden])")
    case("a server that is gone is told", "cannot be reached" in page.locator(".notice").inner_text())
    server.served.start()
    page.wait_for_selector(".notice", state="hidden", timeout=20000)
    say(page, "And after")
    settled(page)
    case("one that comes back is taken up by itself", page.locator(".message").count() == 4 and
         "how can I help" in last(page).inner_text(), page.locator(".messages").inner_text())
    del complaints[n:]  # the browser says of each try that it was refused
    page.context.close()
    server.close()


def french(browser, url):
    page = open_page(browser, url, locale="fr-FR")
    text = page.locator("body").inner_text()
    case("French where the browser speaks French", "Nouvelle discussion" in text and
         page.get_attribute("html", "lang") == "fr" and page.get_attribute("#message", "placeholder") == "Posez votre question", text)
    say(page, "Bonjour [sample]")
    settled(page)
    figures = last(page).locator(".figures").inner_text()
    case("figures in French", "jetons/s" in figures and ("estimés" in figures or "mesurés" in figures), figures)
    page.keyboard.press("Control+/")
    page.select_option("dialog select >> nth=0", "en")
    page.wait_for_function("() => document.documentElement.lang === 'en'")
    page.locator(".new-chat", has_text="New chat").wait_for()
    case("the language can be chosen", "Nouvelle" not in page.locator("body").inner_text())
    page.context.close()


def keyboard(browser, url):
    page = open_page(browser, url)
    page.reload()
    page.wait_for_selector("#message")
    page.keyboard.type("Hello by keys [sample]")
    page.keyboard.press("Enter")
    settled(page)
    page.keyboard.press("Alt+ArrowUp")
    focus = page.evaluate("document.activeElement.className")
    page.keyboard.press("Alt+ArrowUp")
    case("messages are reached by keys", "message" in focus and "mine" in page.evaluate("document.activeElement.className"), focus)
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == "Edit":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector(".editor textarea")
    page.keyboard.type(" edited")
    page.keyboard.press("Enter")
    page.wait_for_selector(".message.mine .branches")
    settled(page)
    case("a message is edited by keys", "edited" in page.locator(".message.mine").inner_text())
    page.keyboard.press("Control+k")
    case("Ctrl+K goes to the search", page.evaluate("document.activeElement.type") == "search")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=menu]")
    page.keyboard.press("ArrowDown")
    entry = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Escape")
    case("a menu is walked with arrows, and left with Escape", entry == "Export as Markdown" and page.locator("[role=menu]").count() == 0, entry)
    page.keyboard.press("Control+Shift+O")
    page.wait_for_selector(".welcome:not([hidden])")
    case("Ctrl+Shift+O begins a new chat, ready to write", page.evaluate("document.activeElement.id") == "message")
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"))
        visible = page.evaluate("""() => { const e = document.activeElement; const r = e.getBoundingClientRect();
            return e === document.body || (r.width > 0 && r.height > 0 && r.bottom > -1 && r.top < innerHeight + 1); }""")
        if not visible:
            break
    case("every control is reached by Tab, and seen when it is",
         visible and any("Choose a model" in (r or "") for r in reached) and "Instructions and sampling" in reached and "Send" in reached, reached)
    page.context.close()


def axe_of(page, what):
    page.evaluate("(source) => { if (!window.axe) (0, eval)(source); }", open(AXE, encoding="utf-8").read())
    found = page.evaluate("async () => (await axe.run(document, { resultTypes: ['violations'] })).violations"
                          ".map((v) => v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message || '')).join(' | '))")
    case("axe-core finds nothing: " + what, found == [], "\n".join(found))


def accessible(browser, url):
    if not AXE:
        skip("axe-core", "axe-playwright-python is not installed: tools/test-env")
        return
    for what, options in (("desktop, light", {"color_scheme": "light"}), ("desktop, dark", {"color_scheme": "dark"}),
                          ("phone, light", {"color_scheme": "light", "viewport": {"width": 390, "height": 844}}),
                          ("phone, dark", {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}})):
        page = open_page(browser, url, bypass_csp=True, reduced_motion="reduce", **options)
        axe_of(page, what + ", new chat")
        say(page, "[sample] please")
        settled(page)
        page.wait_for_selector(".hljs-keyword")
        page.wait_for_selector(".katex")
        axe_of(page, what + ", conversation")
        last(page).locator(".receipt-button").click()
        page.wait_for_selector("dialog a.button", timeout=20000)
        axe_of(page, what + ", receipt")
        page.keyboard.press("Escape")
        page.locator(".energy").click()
        page.wait_for_selector("svg.chart > g > .bar")
        page.locator(".day-box summary").click()
        axe_of(page, what + ", energy of the day")
        page.keyboard.press("Escape")
        page.click(".model-button")
        page.wait_for_selector(".models li")
        axe_of(page, what + ", models")
        page.keyboard.press("Escape")
        page.get_by_label("Instructions and sampling").click()
        axe_of(page, what + ", instructions")
        page.keyboard.press("Escape")
        page.keyboard.press("Control+/")
        axe_of(page, what + ", preferences")
        page.keyboard.press("Escape")
        if "phone" in what:
            page.get_by_label("Show conversations").click()
            page.wait_for_function("() => document.querySelector('#app').classList.contains('list-open')")
            axe_of(page, what + ", list")
            page.keyboard.press("Escape")
        page.context.close()


LIVE = """(root) => {
    const bad = [];
    const fine = new Set(["A", "ANNOTATION", "ARTICLE", "BLOCKQUOTE", "BR", "BUTTON", "CODE", "DETAILS", "DIV", "EM", "H3", "H4", "H5",
        "H6", "HR", "LI", "OL", "P", "PATH", "PRE", "S", "SPAN", "STRONG", "SUMMARY", "TABLE", "TBODY", "TD", "TH", "THEAD", "TR", "UL",
        "SVG", "MATH", "SEMANTICS", "LINE"]);
    for (const e of root.querySelectorAll("*")) {
        const tag = e.tagName.toUpperCase();
        if (!fine.has(tag) && !/^M[A-Z]+$/.test(tag)) bad.push(tag);
        for (const a of e.attributes) {
            if (/^on/i.test(a.name) || a.name === "srcdoc" || a.name === "src") bad.push(tag + " " + a.name);
            if (/href/i.test(a.name) && !/^(https?:|mailto:)/i.test(a.value)) bad.push(tag + " " + a.value);
        }
        if (tag === "A" && !/noopener/.test(e.rel)) bad.push("rel");
    }
    return bad;
}"""


def hostile(browser, url):
    payloads = hostile_markdown.payloads()
    page = open_page(browser, url)
    page.evaluate("() => { window.hacked = 0; window.alert = () => { window.hacked++; }; }")
    import_messages(page, "Hostile answers", [p for payload in payloads for p in ("?", payload)])
    page.locator(".list a", has_text="Hostile answers").click()
    page.wait_for_selector(".message")
    bad = page.evaluate("() => (%s)(document.querySelector('.messages'))" % LIVE)
    case("%d hostile answers of a stored conversation: no live node" % len(payloads), bad == [] and page.evaluate("window.hacked") == 0, bad[:10])
    bad = page.evaluate("""async (payloads) => {
        const { Growing } = await import(document.querySelector('script[type=module]').src);
        const live = %s;
        const bad = [];
        for (const text of payloads) {
            for (const step of [1, 2, 3, 7]) {
                const root = document.createElement("div");
                document.querySelector("main").append(root);
                const growing = new Growing(root);
                for (let i = 0; i < text.length; i += step) {
                    growing.add(text.slice(i, i + step));
                    const found = live(root);
                    if (found.length) bad.push([text, step, i, found]);
                }
                growing.end();
                const whole = document.createElement("div");
                Growing.show(whole, text);
                const found = live(root).concat(live(whole));
                if (found.length) bad.push([text, step, "end", found]);
                root.remove();
            }
        }
        return bad;
    }""" % LIVE, payloads)
    time.sleep(0.5)
    case("%d hostile answers, cut at every 1, 2, 3 and 7 characters as they come: no live node" % len(payloads),
         bad == [] and page.evaluate("window.hacked") == 0, bad[:3])
    differ = page.evaluate("""async (texts) => {
        const { Growing } = await import(document.querySelector('script[type=module]').src);
        const shape = (n) => n.nodeType === 3 ? n.data : n.nodeType !== 1 ? "" : n.classList.contains("math") || n.tagName === "CODE"
            ? n.tagName + n.textContent : n.tagName + "(" + [...n.childNodes].map(shape).join("") + ")";
        const differ = [];
        for (const text of texts) {
            for (const step of [1, 4, 9]) {
                const a = document.createElement("div");
                const b = document.createElement("div");
                const growing = new Growing(a);
                for (let i = 0; i < text.length; i += step) growing.add(text.slice(i, i + step));
                growing.end();
                Growing.show(b, text);
                await new Promise((r) => setTimeout(r));
                if (shape(a) !== shape(b)) differ.push([step, shape(a), shape(b)]);
            }
        }
        return differ;
    }""", [SAMPLE, *hostile_markdown.shapes()])
    case("an answer that came in pieces looks as one that came at once", differ == [], differ[:1])
    page.context.close()


def huge(browser, url):
    page = open_page(browser, url)
    big = hostile_markdown.big(10_000_000)
    import_messages(page, "Ten megabytes", ["?", big])
    t0 = time.monotonic()
    page.locator(".list a", has_text="Ten megabytes").click()
    page.wait_for_function("() => document.querySelectorAll('.message').length === 2")
    button = page.get_by_role("button", name="Show the whole message")
    button.wait_for()
    opened = time.monotonic() - t0
    t0 = time.monotonic()
    button.click()
    page.wait_for_function("() => document.querySelector('.answer').textContent.length > 9000000", timeout=20000)
    page.evaluate("() => new Promise((r) => requestAnimationFrame(() => setTimeout(r)))")
    shown = time.monotonic() - t0
    bad = page.evaluate("() => (%s)(document.querySelector('.messages'))" % LIVE)
    case("a message of 10 MB opens, and is shown whole when asked", opened < 2 and shown < 8 and bad == [], (opened, shown, bad[:5]))
    print("# opened in %.2f s, all of it in %.2f s" % (opened, shown))
    slow = page.evaluate("""async (texts) => {
        const { Growing } = await import(document.querySelector('script[type=module]').src);
        const slow = [];
        for (const [name, text] of texts) {
            const t0 = performance.now();
            Growing.show(document.createElement("div"), text);
            const ms = performance.now() - t0;
            if (ms > 2500) slow.push([name, ms]);
        }
        return slow;
    }""", hostile_markdown.slow())
    case("Markdown made to be slow is not", slow == [], slow)
    page.context.close()


def quiet(browser, url, server):
    context = browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-GB")
    context.add_init_script("window.timers = 0; for (const f of ['setTimeout', 'setInterval', 'requestAnimationFrame'])"
                            " { const g = window[f]; window[f] = (...a) => { window.timers++; return g(...a); }; }")
    page = watch(context.new_page())
    asked = []
    page.on("request", lambda r: asked.append(r.url))
    page.goto(url)
    page.wait_for_selector("#message")
    say(page, "Hello")
    settled(page)
    page.wait_for_timeout(1000)  # unlike sleep() it hears of what is asked meanwhile
    asked.clear()
    before = page.evaluate("window.timers")
    cpu = None if FAKE else server.served.cpu_ms()
    seconds = int(os.environ.get("SOBRE_IDLE_SECONDS", "5"))
    time.sleep(seconds)
    cpu = None if FAKE else server.served.cpu_ms() - cpu
    case("an idle page asks nothing and sets no timer", asked == [] and page.evaluate("window.timers") == before,
         (asked, before, page.evaluate("window.timers")))
    if not FAKE:
        case("a server with an idle page open takes no more than 10 ms a minute", cpu <= max(2, 10 * seconds / 60), cpu)
    context.close()


def policy(browser, url):
    page = open_page(browser, url)
    reply = page.goto(url)
    page.wait_for_selector("#message")
    csp = reply.headers.get("content-security-policy", "")
    case("the policy allows nothing inline and nothing from elsewhere", "default-src 'none'" in csp and "unsafe" not in csp and
         "frame-ancestors 'none'" in csp and "script-src 'self'" in csp, csp)
    page.keyboard.press("Control+/")
    page.get_by_role("button", name="Licences").click()
    page.wait_for_selector(".licences")
    text = page.locator(".licences").inner_text()
    case("the licences of what is inside are shown", all(w in text for w in ("markdown-it", "highlight", "KaTeX", "Expat")), text[:200])
    page.context.close()


def main():
    server = FakeServer() if FAKE else RealServer()
    only = [a for a in sys.argv[1:] if not a.startswith("--")]
    try:
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            for run in (first_message, stop, reload, two_browsers, late_feeds, branches, long_conversation, reading_position, link_prefills,
                        files, manage, models, receipt, waiting, comes_back, french, keyboard, accessible, hostile, huge, policy):
                if not only or run.__name__ in only:
                    try:
                        run(browser, server.url)
                    except Exception as e:  # a page that never gets there is a failure of this case alone
                        case(run.__name__, False, "%s: %s" % (type(e).__name__, e))
            if not only or "quiet" in only:
                quiet(browser, server.url, server)
            known = [c for c in complaints if "net::ERR_INTERNET_DISCONNECTED" not in c]
            case("nothing on the console, nothing refused by the policy", known == [], "\n".join(known[:10]))
            browser.close()
    finally:
        server.close()
    finish()


main()
