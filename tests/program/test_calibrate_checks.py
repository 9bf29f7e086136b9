"""What `calibrate` measures decides which grader may reward; and what it says where something is wrong."""

import json
import re

from program import run
from scripted_calibration import SHIPPED, CalibrationTest, Model, fair, judge, judged_case, rows_of, verdict


class CalibrateChecksTest(CalibrationTest):
    def test_fits_thresholds(self):
        fit = ["run", "--what", "match", "--train", self.inputs / "logs.jsonl", "--dev", self.inputs / "many.jsonl"]
        self.calibrate(*fit, "--out", "out")
        self.calibrate("sample", self.labels, "--out", "items.jsonl", "--thresholds", "out/thresholds.yaml",
                       "--set", "pool=50")
        text = (self.folder / "out/thresholds.yaml").read_text()
        graders = " ".join(rows_of(self.folder / "items.jsonl")[0]["verdicts"])
        tables = re.findall(r"people say same: +1 +(\d+) +0\.5 +(\d+) +0 +(\d+)\n +people say different: "
                            r"1 +(\d+) +0\.5 +(\d+) +0 +(\d+)", (self.folder / "out/report.txt").read_text())
        for name, table in zip(("match", "words"), tables[::2]):  # each: of pairs, then in contexts
            same, near = map(float, re.search(rf"^{name}:\n  same: (\S+)\n  near: (\S+)", text, re.M).groups())
            self.assertIn(f"{name} (same {same:g}, near {near:g}", graders)
            value, low, high = map(float, re.search(
                rf"  {name}: {{kappa: (\S+), low: (\S+), high: (\S+)}}", text).groups())
            self.assertTrue(low < value < high)
            cells = [(people, verdict, int(count)) for (people, verdict), count in zip(
                ((people, verdict) for people in (1, 0) for verdict in (1, 0.5, 0)), table)]
            total = sum(count for *_, count in cells)
            observed = sum(abs(people - verdict) * count for people, verdict, count in cells) / total
            expected = sum(abs(a[0] - b[1]) * a[2] * b[2] for a in cells for b in cells) / total**2
            self.assertAlmostEqual(value, 1 - observed / expected, delta=0.00051)
        lines = (self.inputs / "logs.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        for message in [message for row in rows for message in row.get("messages", [])]:
            message.pop("truth", None)
        fit[4] = self.write_rows("unlabelled.jsonl", rows)
        refused = self.calibrate(*fit, "--out", "none", code=1)
        self.assertRegex(refused.error(), "error: .*(label|same|pairs)")
        self.assertFalse((self.folder / "none").exists())

    def test_fits_thresholds_on_peoples_labels(self):
        flodial = SHIPPED.parents[1] / "shared/data/flodial"
        if not flodial.exists():
            self.skipTest(f"{flodial}: not there")
        self.calibrate("run", "--what", "match", "--train", flodial / "train.jsonl", "--dev", flodial / "dev.jsonl",
                       "--out", "out")
        report = (self.folder / "out/report.txt").read_text()
        match = report[report.index("match ("):report.index("words (")]
        auc, best = map(float, re.search(r"  dev: .* AUC ([0-9.]+), best F1 of any threshold ([0-9.]+)", match).groups())
        fitted = float(re.search(r"dev, pairs at these thresholds: F1 ([0-9.]+)", match)[1])
        kappa, low, high = map(float, re.search(r"kappa with people ([0-9.]+) \[([0-9.]+), ([0-9.]+)\]", match).groups())
        self.assertGreaterEqual(auc, 0.97)
        self.assertLessEqual(best - fitted, 0.03)
        self.assertTrue(0.4 < low < kappa < high)

    def train(self, *settings, code=0):
        words = ["train", "grpo", self.labels, "--out", "out", "--set", f"policy.model={self.inputs}/tiny.gguf",
                 "--set", "policy.threads=1", "--set", "grpo.steps=1", "--set", "grpo.sessions_per_step=1",
                 "--set", "grpo.group_size=2", "--set", "grpo.max_reply_tokens=8"]
        finished = run([*words, *settings], self.folder)
        self.assertEqual(finished.code, code, finished.err)
        self.assertEqual((self.folder / "out/adapter").exists(), code == 0)
        return finished.error()

    def test_only_a_grader_that_agrees_with_people_rewards(self):
        model = Model(self, grade=lambda messages, _: verdict(fair(*judged_case(messages))))
        llm = ["--set", "reward.grader=llm", *model.settings]
        error = self.train(*llm, code=1)
        self.assertRegex(error, "calibrate report.* reward.agreement.* reward.min_agreement=-1")
        with self.subTest("written before it was refused"):
            self.assertEqual(list(self.folder.iterdir()), [])
        gold = self.fair_labels()
        grading = ["report", self.items, "--labels", gold, "--grader", "llm", *model.settings]
        self.calibrate(*grading, "--out", "good")
        self.calibrate("report", self.items, "--labels", gold, "--grader", "words", "--out", "words")
        model.answers["grade"] = lambda messages, _: verdict(1 - fair(*judged_case(messages)))
        self.calibrate(*grading, "--out", "bad", "--set", "llm.cache=")
        self.assertIn("its agreement with people is too low",
                      self.train(*llm, "--set", "reward.agreement=bad/agreement.json", code=1))
        self.assertIn("has no grader 'llm (scripted",
                      self.train(*llm, "--set", "reward.agreement=words/agreement.json", code=1))
        self.train(*llm, "--set", "reward.agreement=good/agreement.json")
        pharmacy = ["--set", "reward.grader=words", "--set", "reward.thresholds=pharmacy"]
        self.folder = self.new_folder()
        self.assertRegex(self.train(*pharmacy, code=1), "lower end of kappa is 0.33 in .*pharmacy.yaml")
        self.assertEqual(list(self.folder.iterdir()), [])
        self.train(*pharmacy, "--set", "reward.min_agreement=-1")

    def test_a_search_that_was_refused_can_be_begun_again(self):
        model, gold = Model(self, grade=judge), self.fair_labels()
        few = self.write_rows("few.jsonl", rows_of(gold)[:5])
        self.assertIn("5 items to try prompts on", self.calibrate(*self.search(model, few), code=1).error())
        small = self.calibrate(*self.search(model, gold, "--set", "search.max_outcomes=20", out="small"), code=1)
        self.assertIn("max_outcomes: 20", small.error())
        self.assertEqual(model.requests, [])
        self.calibrate(*self.search(model, gold))

    def test_says_what_is_wrong(self):
        model, gold = Model(self, grade=judge), self.fair_labels()
        nobody = self.write_rows("nobody.jsonl", [{"item": "g-nobody", "by": "anna", "grade": 1}])
        searching = ["run", "--out", "out", *model.settings]
        for command, message in (
                ([*searching, "--labels", gold], "calibrate run --what grade: needs --items"),
                ([*searching, "--items", self.items], "calibrate run --what grade: needs --labels"),
                ([*searching, "--items", self.labels, "--labels", gold], "expected a file of 'calibration_items'"),
                ([*searching, "--what", "policy"], "calibrate run --what policy: needs --contexts"),
                (["run", "--what", "match", "--out", "out"], "calibrate run --what match: needs --train and --dev"),
                (["run", "--items", self.items, "--labels", gold, "--out", "out"], "llm.url"),
                (["import", nobody, "--items", self.items, "--labels", "new.jsonl"],
                 "nobody.jsonl:1: 'item': there is no item 'g-nobody'"),
                (["report", self.items, "--labels", nobody, "--out", "out"], "nobody.jsonl:1: 'item'"),
                (["export", self.items, "--by", "anna", "--out", "none/sheet.csv", "--labels", "none.jsonl"],
                 "none.jsonl: no such file"),
                (["sample", self.inputs / "logs.jsonl", "--out", "items.jsonl"], "logs.jsonl")):
            with self.subTest(message):
                self.assertIn(message, self.calibrate(*command, code=1).error())
        for command in (["run"], ["run", "--what", "all", "--out", "x"], ["nothing"], [], ["import"]):
            self.calibrate(*command, code=2)
        for command in (["report", self.items, "--labels", gold, "--out", "out"],
                        ["sample", self.labels, "--out", "items.jsonl"]):
            for grader in ("mtach", "truth"):  # the generator's truth would need the sessions
                refused = self.calibrate(*command, "--grader", grader, code=2)
                self.assertIn(f"--grader: {grader} not in {{match,words,llm}}", refused.err)
        self.assertFalse((self.folder / "new.jsonl").exists())
        self.assertFalse((self.folder / "out/search.json").exists())
        self.assertEqual(model.requests, [])
