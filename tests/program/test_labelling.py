"""The labelling page in a browser: each key press reaches the file, whatever happens in between."""

import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

from playwright.sync_api import expect, sync_playwright

from ports import reserved_port
from program import SECONDS as HANGS, start

CHROMIUM = "/usr/bin/chromium"
TOKEN = "0123456789abcdef0123456789abcdef"
SECONDS = 20  # after which what was pressed should long be in the file
GRADES = {"1": 1, "5": 0.5, "0": 0}
WIDE, NARROW = (1280, 800), (700, 900)
# Within the page: a route of Playwright's holds each request until Python answers for it.
NOTHING_IS_SAVED = """{
  const reach = fetch;
  window.fetch = (path, ...rest) =>
    path === "/api/labels" && !window.isSaving ? Promise.reject(new TypeError("cut off")) : reach(path, ...rest);
}"""
NEXT_IS_SLOW = """{
  const reach = fetch;
  window.fetch = async (path, ...rest) => {
    if (path.startsWith("/api/next")) await new Promise((done) => setTimeout(done, 500));
    return reach(path, ...rest);
  };
}"""
HEADER = {"version": 1, "command": "test", "config_sha256": "", "input_sha256": ""}

TURNS = [("user", "I need something for a cough."), ("expert", "Is it dry?"), ("user", "Dry, at night.")]
FUTURE = [("expert", "Any other medicines?"), ("user", "Ramipril, for my blood pressure."),
          ("expert", "Do you smoke?"), ("user", "No. My brother does, in the car.")]
OPEN = [{"question": "Any other medicines?", "fact": "Ramipril"},
        {"question": "Do you smoke?", "fact": "No"}]


def turns(pairs):
    return [{"from": who, "text": text} for who, text in pairs]


def item(number, kind, **fields):
    return {"id": f"{kind[0]}-{number}", "kind": kind, "context": f"s{number}/3", "turns": turns(TURNS),
            "verdicts": {"match": 0.5}, "why": "the graders disagree", **fields}


def grade_item(number, reply="Do you take any tablets?"):
    return item(number, "grade", open=OPEN, reply=reply)


def claim(question, fact):
    """What the labels claim that the user says, with its place among the turns."""
    at = next(at for at, (who, text) in enumerate(FUTURE) if who == "user" and fact in text)
    begin = FUTURE[at][1].index(fact)
    return {"question": question, "fact": fact, "turn": len(TURNS) + at, "begin": begin, "end": begin + len(fact)}


CLAIMS = [claim(open_["question"], open_["fact"]) for open_ in OPEN]


def extract_item(number, items=CLAIMS):
    return item(number, "extract", future=turns(FUTURE), items=items)


def stop_item(number):
    return item(number, "stop", future=turns(FUTURE))


class LabellingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        playwright = sync_playwright().start()
        cls.addClassCleanup(playwright.stop)
        cls.browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="learn2ask-")
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.file = self.folder / "gold.jsonl"
        self.server = None
        self.addCleanup(self.stop_server)

    # ---- the server, and what is on its disk ----

    def serve(self, items, port=0):
        rows = [{"learn2ask": "calibration_items", **HEADER}, *items]
        (self.folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.start_server(port)

    def start_server(self, port):
        words = ["calibrate", "ui", "items.jsonl", "--labels", self.file.name, "--port", port]
        self.server = start(words, self.folder, env=os.environ | {"LEARN2ASK_TOKEN": TOKEN})
        for line in self.server.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/#(\w+):\w+", line):
                self.assertEqual(found[2], TOKEN)
                self.url, self.port = found[0], int(found[1])
                return
        self.fail(self.server.stderr.read())

    def stop_server(self, number=signal.SIGINT):
        if self.server is None:
            return
        self.server.send_signal(number)
        try:
            self.server.communicate(timeout=HANGS)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.communicate()
            raise
        finally:
            code, self.server = self.server.returncode, None
        self.assertIn(code, (0, 1) if number == signal.SIGINT else (-number,))

    def saved(self):
        """What was labelled, in the order of the file: less the header, and when."""
        whole_lines = self.file.read_text().rpartition("\n")[0] if self.file.exists() else ""
        rows = [json.loads(line) for line in whole_lines.splitlines()]
        self.assertTrue(not rows or rows[0]["learn2ask"] == "gold_labels", rows[:1])
        return [{key: value for key, value in row.items() if key != "time"} for row in rows[1:]]

    def assert_saved(self, *expected, by="anna"):
        """The file holds these by that person, in this order, within a few seconds."""
        rows = [{"item": name, "by": by, **label} for name, label in expected]
        end = time.monotonic() + SECONDS
        while (found := [row for row in self.saved() if row["by"] == by]) != rows:
            if time.monotonic() > end:
                self.assertEqual(found, rows)
            time.sleep(0.05)

    # ---- the page ----

    def visit(self, name="anna", size=WIDE, url=None, colours="light"):
        """A browser of one person's own, at the first item."""
        context = self.browser.new_context(viewport={"width": size[0], "height": size[1]},
                                           color_scheme=colours)
        self.addCleanup(context.close)
        page = context.new_page()
        page.answers, page.faults = [], []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        page.on("response", lambda answer: "/api/items" in answer.url and page.answers.append(answer))
        page.goto(url or self.url)
        if name:
            page.locator("#naming[open]").wait_for()
            page.keyboard.type(name)
            page.keyboard.press("Enter")
            page.locator("#panes").wait_for()
        return page

    def press(self, page, *keys):
        for key in keys:
            page.keyboard.press(key)
        self.assertEqual(page.faults, [])

    def at(self, page, number):
        expect(page.locator("#go-to")).to_have_value(str(number))
        page.locator("#panes").wait_for()

    def screenshot(self, page, name):
        if folder := os.environ.get("LEARN2ASK_SCREENSHOTS"):
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
            page.wait_for_timeout(100)
            page.screenshot(path=pathlib.Path(folder, f"labelling-{name}.png"))

    # ---- the tests ----

    def test_labels_every_kind_by_keyboard(self):
        self.serve([grade_item(1), grade_item(2), extract_item(3), extract_item(4, []), stop_item(5),
                    grade_item(6)])
        page = self.visit()
        self.press(page, "1", "5")
        self.press(page, "r", "ArrowUp", "w", "r", "m")
        page.keyboard.type("my brother does")
        self.press(page, "Enter", "Escape", "Enter", "Enter", "c", "u")
        first, second = {"items": ["right", None], "missing": []}, {"items": ["wrong", None], "missing": []}
        third = {"items": ["wrong", "right"], "missing": []}
        self.assert_saved(
            ("g-1", {"grade": 1}), ("g-2", {"grade": 0.5}), ("e-3", first), ("e-3", second), ("e-3", third),
            ("e-3", {**third, "missing": ["my brother does"]}), ("e-4", {"items": [], "missing": []}),
            ("s-5", {"decision": "continue"}), ("g-6", {"unsure": True}))
        page.get_by_text("All items are labelled").wait_for()
        self.assertIn("6 of 6 labelled", page.inner_text("header"))

    def test_a_key_that_is_held_or_meant_for_the_browser_judges_nothing(self):
        self.serve([grade_item(number) for number in range(5)])
        page = self.visit()
        page.keyboard.down("1")
        for _ in range(5):
            page.keyboard.down("1")  # repeats
        page.keyboard.up("1")
        self.press(page, "Control+0", "Alt+5", "n", "0", "1", "Escape", "0")
        self.assert_saved(("g-0", {"grade": 1}), ("g-1", {"grade": 0, "note": "01"}))

    def test_undo_goes_back_step_by_step(self):
        self.serve([grade_item(1), extract_item(2), stop_item(3)])
        page = self.visit()
        self.press(page, "1", "r", "w", "Enter", "s", "z", "z", "z", "z", "z", "0")
        right = {"items": ["right", None], "missing": []}
        self.assert_saved(
            ("g-1", {"grade": 1}), ("e-2", right), ("e-2", {**right, "items": ["right", "wrong"]}),
            ("s-3", {"decision": "stop"}), ("s-3", {"undone": True}), ("e-2", right),
            ("e-2", {"undone": True}), ("g-1", {"undone": True}), ("g-1", {"grade": 0}))

    def test_notes(self):
        self.serve([grade_item(1), stop_item(2)])
        page = self.visit()
        self.press(page, "u", "ArrowLeft", "n")
        page.keyboard.type("two questions – \"both\"")
        self.press(page, "Enter", "5", "k", "n", "Control+a", "Delete", "Escape")
        note = {"note": "two questions – \"both\""}
        self.assert_saved(("g-1", {"unsure": True}), ("g-1", {"unsure": True, **note}),
                          ("g-1", {"grade": 0.5, **note}), ("g-1", {"grade": 0.5}))

    def test_a_note_that_is_being_written_survives_a_reload(self):
        self.serve([grade_item(1), grade_item(2)])
        page = self.visit()
        self.press(page, "5", "k", "n")
        page.keyboard.type("too general")
        # A judgement whose saving a reload breaks off is sent again, and may then be there twice.
        page.wait_for_function("Object.keys(localStorage).some((key) => key.endsWith('queue')"
                               " && localStorage[key] === '[]')")
        page.reload()
        note = {"grade": 0.5, "note": "too general"}
        self.assert_saved(("g-1", {"grade": 0.5}), ("g-1", note))
        self.at(page, 1)
        self.press(page, "j", "n")  # an item without a judgement
        page.keyboard.type("unclear")
        page.reload()
        self.at(page, 2)
        expect(page.locator("#note")).to_have_value("unclear")

    def test_a_quotation_that_the_user_does_not_say_stays_in_its_field(self):
        self.serve([extract_item(1)])
        page = self.visit()
        self.press(page, "m")
        page.keyboard.type("something for a cough")  # said before, not from here on
        self.press(page, "Enter")
        page.locator("#quotation-error:not(:empty)").wait_for()
        self.assertEqual(page.input_value("#quotation"), "something for a cough")
        self.screenshot(page, "refused")
        self.press(page, "Escape", "r")
        self.assert_saved(("e-1", {"items": ["right", None], "missing": []}))

    def test_two_people_keep_apart(self):
        self.serve([grade_item(1), grade_item(2)])
        anna, ben = self.visit("anna"), self.visit("Bénédicte Ōe")
        self.press(anna, "1")
        self.press(ben, "0", "5")
        self.press(anna, "1")
        self.assert_saved(("g-1", {"grade": 1}), ("g-2", {"grade": 1}))
        self.assert_saved(("g-1", {"grade": 0}), ("g-2", {"grade": 0.5}), by="Bénédicte Ōe")
        anna.click("#who")
        anna.keyboard.type("Bénédicte Ōe")
        self.press(anna, "Enter")
        self.at(anna, 1)
        self.press(anna, "u")
        self.at(anna, 2)
        self.assert_saved(("g-1", {"grade": 0}), ("g-2", {"grade": 0.5}), ("g-1", {"unsure": True}),
                          by="Bénédicte Ōe")

    def test_a_reload_keeps_place_and_labels(self):
        self.serve([grade_item(number) for number in range(4)])
        page = self.visit()
        self.press(page, "1", "5", "0", "k")
        self.assert_saved(("g-0", {"grade": 1}), ("g-1", {"grade": 0.5}), ("g-2", {"grade": 0}))
        page.reload()
        self.at(page, 3)
        page.locator("[data-for=grade] [data-key='0'][aria-pressed=true]").wait_for()
        self.assertNotIn(TOKEN, page.url)
        self.press(page, "g", "u")
        self.at(page, 4)

    def test_what_is_pressed_around_a_kill_arrives(self):
        self.serve([grade_item(number) for number in range(40)], reserved_port(self))
        page = self.visit()
        self.press(page, *"1501501501")
        self.stop_server(signal.SIGKILL)
        self.press(page, "5", "z", *"0150150150")
        expect(page.locator("#trouble")).to_contain_text("not saved yet")
        self.screenshot(page, "server-dead")
        self.start_server(self.port)
        expect(page.locator("#progress")).to_contain_text("20 of 40", timeout=1000 * SECONDS)
        expect(page.locator("#trouble")).to_be_hidden()
        given = [(f"g-{number}", {"grade": GRADES[key]}) for number, key in enumerate("1501501501" "0150150150")]
        given[10:10] = [("g-10", {"grade": 0.5}), ("g-10", {"undone": True})]
        rows = self.saved()  # the one that was under way when the server died may be there twice
        once = [row for row, before in zip(rows, [None, *rows]) if row != before]
        self.assertEqual(once, [{"item": name, "by": "anna", **label} for name, label in given])

    def test_what_is_not_saved_survives_a_reload(self):
        self.serve([grade_item(number) for number in range(10)])
        page = self.visit()
        page.add_init_script(NOTHING_IS_SAVED)
        page.reload()
        self.at(page, 1)
        self.press(page, "1", "5", "0")
        page.get_by_text("3 judgements are not saved yet").wait_for()
        page.reload()
        self.at(page, 4)
        self.press(page, "u")
        self.assertEqual(self.saved(), [])
        page.evaluate("window.isSaving = true")
        self.assert_saved(("g-0", {"grade": 1}), ("g-1", {"grade": 0.5}), ("g-2", {"grade": 0}),
                          ("g-3", {"unsure": True}))

    def test_a_note_that_is_being_typed_stays_with_its_item(self):
        self.serve([grade_item(number) for number in range(3)])
        page = self.visit()
        page.add_init_script(NEXT_IS_SLOW)
        page.reload()
        self.at(page, 1)
        self.press(page, "1", "g", "n", *"why")
        page.wait_for_timeout(800)  # the next item has been named by now
        self.press(page, *" not", "Enter")
        self.at(page, 2)
        self.press(page, "0")
        self.assert_saved(("g-0", {"grade": 1}), ("g-1", {"grade": 0, "note": "why not"}))

    def test_a_link_to_other_work_begins_anew(self):
        self.serve([grade_item(1), grade_item(2)], reserved_port(self))
        page = self.visit()
        self.press(page, "1")
        self.assert_saved(("g-1", {"grade": 1}))
        self.stop_server()
        self.file = self.folder / "second.jsonl"
        self.start_server(self.port)
        page.goto(self.url)  # the same page but for what follows the #
        self.at(page, 1)
        expect(page.locator("[aria-pressed=true]:visible")).to_have_count(0)
        self.press(page, "0")
        self.assert_saved(("g-1", {"grade": 0}))

    def test_two_that_are_refused_are_both_taken_back(self):
        self.serve([extract_item(1)])
        page = self.visit()
        self.press(page, "m")
        page.keyboard.type("Ramipril")
        self.press(page, "Enter", "Escape")
        added = ("e-1", {"items": [None, None], "missing": ["Ramipril"]})
        self.assert_saved(added)
        page.add_init_script(NOTHING_IS_SAVED)
        page.reload()
        self.at(page, 1)
        self.press(page, "r", "w")  # Ramipril is not missing where the claim of it is right
        page.get_by_text("2 judgements are not saved yet").wait_for()
        page.evaluate("window.isSaving = true")
        expect(page.locator("#refused li")).to_have_count(2, timeout=1000 * SECONDS)
        expect(page.locator("[aria-pressed=true]:visible")).to_have_count(0)
        self.assert_saved(added)

    def test_ten_thousand_items(self):
        self.serve([grade_item(number, f"Reply {number}?") for number in range(10_000)])
        page = self.visit()
        self.assertLess(sum(len(answer.json()["items"]) for answer in page.answers), 200)  # not all 10,000
        keys = [("1", "5", "0")[number * number % 3] for number in range(200)]
        for number, key in enumerate(keys):
            self.at(page, number + 1)  # what is not shown yet cannot be judged
            self.press(page, key)
        self.assert_saved(*((f"g-{number}", {"grade": GRADES[key]}) for number, key in enumerate(keys)))
        self.assertLess(sum(len(answer.json()["items"]) for answer in page.answers), 500)
        self.press(page, "/", *"9876", "Enter")
        self.at(page, 9876)
        page.get_by_text("Reply 9875?").wait_for()
        self.press(page, "/", *"100", "Enter", "g")
        self.at(page, 201)
        expect(page).to_have_title("200 of 10,000 – learn2ask labelling")
        self.press(page, "/", *"10000", "Enter")
        page.get_by_text("Reply 9999?").wait_for()
        self.press(page, "0")
        self.at(page, 201)

    def test_markup_in_data_is_text(self):
        evil = "<img src=x onerror=\"window.ran = 1\"><script>window.ran = 1</script><b>bold</b>"
        items = [{"question": evil, "fact": evil}]
        said = turns([("user", evil), ("expert", evil)])
        future = turns([("expert", evil), ("user", evil)])
        claims = [items[0] | {"turn": len(said) + 1, "begin": 0, "end": len(evil)}]
        self.serve([grade_item(1, evil) | {"turns": said, "open": items},
                    extract_item(2, claims) | {"turns": said, "future": future},
                    stop_item(3) | {"turns": said, "future": future}])
        page = self.visit("<img src=x onerror='ran=1'>")
        for number in (1, 2, 3):
            self.at(page, number)
            self.assertGreaterEqual(page.locator("main").inner_text().count(evil), 2)
            self.assertEqual(page.locator("img, main script, .bubble > b > *").count(), 0)
            self.press(page, "n", *"<i>", "Enter", "ArrowRight")
        self.assertIsNone(page.evaluate("window.ran ?? null"))

    def test_a_wrong_token_says_so(self):
        self.serve([grade_item(1)])
        page = self.visit(None, url=self.url.replace(TOKEN, "wrong"))
        page.locator("#notice", has_text="Open the address that learn2ask printed").wait_for()
        self.screenshot(page, "wrong-token")
        page.goto(self.url)
        page.locator("#naming[open]").wait_for()

    def test_what_graders_said_never_reaches_the_page(self):
        self.serve([grade_item(1), extract_item(2), stop_item(3) | {"decision": "continue"}])
        page = self.visit()
        self.press(page, "1", "j", "u")
        self.assertTrue(page.answers)
        for answer in page.answers:
            for shown in answer.json()["items"]:
                self.assertTrue({"verdicts", "why", "context", "decision"}.isdisjoint(shown), shown)

    def test_mouse_and_second_tab(self):
        self.serve([grade_item(1), extract_item(2)])
        page = self.visit()
        page.click("[data-key='5']:visible")
        page.click(".fact >> nth=1 >> text=Wrong")
        self.press(page, "ArrowUp", "r", "Enter")  # for the item, not for the button
        self.assert_saved(("g-1", {"grade": 0.5}), ("e-2", {"items": [None, "wrong"], "missing": []}),
                          ("e-2", {"items": ["right", "wrong"], "missing": []}))
        second = page.context.new_page()
        second.goto(self.url)
        expect(second.locator("#notice")).to_contain_text("open in another tab")
        page.close()
        self.at(second, 2)

    def test_looks(self):
        self.serve([grade_item(1), extract_item(2), stop_item(3)])
        for size, colours in ((WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")):
            page = self.visit(f"anna {size[0]} {colours}", size, colours=colours)
            for number, kind in enumerate(("grade", "extract", "stop"), 1):
                self.press(page, "/", str(number), "Enter")
                self.at(page, number)
                self.screenshot(page, f"{kind}-{size[0]}-{colours}")
                wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
                self.assertFalse(page.evaluate(wider), kind)
            self.press(page, "?")
            self.screenshot(page, f"help-{size[0]}-{colours}")
            self.press(page, "s", "Escape")
        self.assertEqual(self.saved(), [])
