"""`calibrate`: items for people, their labels, and how far graders agree with them."""

import collections
import csv
import itertools
import json
import random
import re

from program import run
from scripted_calibration import CalibrationTest, Model, fair, judged_case, rows_of, verdict


def kappa(pairs):
    """Cohen's, with linear weights."""
    observed = sum(abs(a - b) for a, b in pairs) / len(pairs)
    crossed = [abs(a - b) for (a, _), (_, b) in itertools.product(pairs, pairs)]
    return 1 - observed / (sum(crossed) / len(crossed))


def alpha(units):
    """Krippendorff's, ordinal, over units of two or more values, by its definition."""
    units = [unit for unit in units if len(unit) > 1]
    counts = collections.Counter(value for unit in units for value in unit)

    def distance(a, b):
        between = [counts[g] for g in counts if min(a, b) <= g <= max(a, b)]
        return (sum(between) - (counts[a] + counts[b]) / 2) ** 2 if a != b else 0

    total = sum(counts.values())
    observed = sum(distance(a, b) / (len(unit) - 1) for unit in units for a, b in itertools.permutations(unit, 2))
    expected = sum(distance(a, b) * counts[a] * counts[b] for a in counts for b in counts) / (total - 1)
    return 1 - observed / expected


class CalibrateTest(CalibrationTest):
    def test_samples_what_the_labels_say(self):
        for what, count in (("grade", 25), ("extract", 30), ("stop", 1), ("stop", 9999)):
            settings = ["--what", what, "--set", f"count={count}"]
            items = self.sample("a.jsonl", *settings)
            self.assertEqual(len({item["id"] for item in items}), len(items))
            self.assertEqual(len(items), min(count, len(self.samples)))
            for item in items:
                row, sample = self.samples[item["context"]]
                self.assertEqual((item["kind"], len(item["turns"])), (what, sample["turn"]))
                said = "\n".join(turn["text"] for turn in item["turns"] + item.get("future", []))
                self.assertTrue("\n".join(message["content"] for message in row["messages"]).startswith(said))
                wanted = [{key: row["items"][i][key] for key in ("question", "fact")} for i in sample["wanted"]]
                if what == "stop":
                    self.assertEqual(item["decision"], sample["decision"])
                else:
                    found = item["open" if what == "grade" else "items"]
                    self.assertEqual([{key: one[key] for key in ("question", "fact")} for one in found], wanted)
                for claim in item.get("items", []):
                    text = (item["turns"] + item["future"])[claim["turn"]]["text"].encode()
                    self.assertEqual(text[claim["begin"]:claim["end"]].decode(), claim["fact"])
            first = (self.folder / "a.jsonl").read_bytes()
            self.sample("a.jsonl", *settings)
            self.assertEqual((self.folder / "a.jsonl").read_bytes(), first)
            others = {item["id"] for item in self.sample("b.jsonl", *settings, "--set", "seed=2")}
            self.assertEqual(others == {item["id"] for item in items}, count == 9999)

    def test_items_that_may_have_labels_stay(self):
        self.sample("items.jsonl", "--what", "stop")
        before = (self.folder / "items.jsonl").read_bytes()
        finished = run(["calibrate", "sample", self.labels, "--what", "stop", "--set", "seed=2", "--out", "items.jsonl"],
                       self.folder)
        self.assertIn("items.jsonl: is there already; nothing is overwritten", finished.err)
        self.assertEqual((self.folder / "items.jsonl").read_bytes(), before)

    def test_labels_that_people_wrote_stay(self):
        items = self.sample("items.jsonl", "--what", "stop", "--set", "count=4")
        rows = self.sheet("items.jsonl")
        self.fill([row | {"label": "stop"} for row in rows])
        filled = (self.folder / "sheet.csv").read_bytes()
        again = run(["calibrate", "export", "items.jsonl", "--by", "anna", "--out", "sheet.csv"], self.folder)
        self.assertIn("sheet.csv: is there already", again.error())
        self.assertEqual((self.folder / "sheet.csv").read_bytes(), filled)
        gold = [{"item": item["id"], "decision": "continue" if item["decision"] == "stop" else "stop"} for item in items]
        self.calibrate("import", self.write_rows("said.jsonl", gold), "--items", "items.jsonl", "--by", "anna",
                       "--labels", "gold.jsonl")
        before = (self.folder / "gold.jsonl").read_bytes()
        overrides = run(["calibrate", "overrides", "items.jsonl", "--labels", "gold.jsonl", "--out", "gold.jsonl"], self.folder)
        self.assertIn("gold.jsonl: is there already, and not from learn2ask calibrate overrides", overrides.error())
        self.assertEqual((self.folder / "gold.jsonl").read_bytes(), before)

    def test_samples_replies_and_what_two_labellings_differ_about(self):
        given = [{"context": context, "text": f"Is it number {i}?"}
                 for i, (context, (_, sample)) in enumerate(self.samples.items()) if sample["wanted"]]
        stops = [{"context": context, "text": text} for context, (_, sample) in self.samples.items()
                 for text in ("<stop />", "Why?") if text == "<stop />" or sample["decision"] == "stop"]
        path = self.write_rows("replies.jsonl", given + stops)
        items = self.sample("items.jsonl", "--replies", path, "--set", "count=9999")
        self.assertEqual(sorted((item["context"], item["reply"]) for item in items),
                         sorted((reply["context"], reply["text"]) for reply in given))
        lines = self.labels.read_text().splitlines(keepends=True)
        for what in ("extract", "stop"):
            differ = set()
            rows = [json.loads(line) for line in lines[1:]]
            for row in rows[::9]:
                sample = row["samples"][0]
                differ.add(f"{row['session_id']}/{sample['turn']}")
                sample |= {"wanted": []} if what == "extract" else {"decision": "stop", "wanted": []}
            (self.folder / "other.jsonl").write_text(lines[0] + "".join(json.dumps(row) + "\n" for row in rows))
            items = self.sample("items.jsonl", "--what", what, "--other-labels", "other.jsonl", "--set", "count=20")
            self.assertEqual({item["context"] for item in items if item["why"] == "judges differ by 1"}, differ)
            self.assertGreater(len(differ), 3)

    def sheet(self, items, gold=()):
        (self.folder / "sheet.csv").unlink(missing_ok=True)
        self.calibrate("export", items, "--by", "anna", "--out", "sheet.csv", *gold)
        with open(self.folder / "sheet.csv", encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    def fill(self, rows):
        with open(self.folder / "sheet.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)

    def test_what_people_say_corrects_labels(self):
        items, said = self.sample("extract.jsonl", "--what", "extract", "--set", "count=20"), {}
        gold, asked = [], {}
        for i, item in enumerate(items):
            says = [["right", "wrong"][(i + j) % 2] for j in range(len(item["items"]))]
            told = [turn["text"] for turn in item["future"] if turn["from"] == "user"]
            # Where all is wrong, the user's last word is what was missing.
            missing = told[-1:] if told and "right" not in says else []
            gold.append({"item": item["id"], "items": says, "missing": missing})
            asked[item["context"]] = [claim["question"] for claim, word in zip(item["items"], says) if word == "right"]
            said[item["context"]] = [claim["fact"] for claim, word in zip(item["items"], says) if word == "right"] + missing
        stops = [item for item in self.sample("stop.jsonl", "--what", "stop", "--set", "count=9999")
                 if item["decision"] == "stop" and item["context"] not in said][:3]
        gold += [{"item": item["id"], "decision": "continue"} for item in stops]
        both = self.write_rows("items.jsonl", items + stops)
        self.calibrate("import", self.write_rows("said.jsonl", gold), "--items", both, "--by", "anna",
                       "--labels", "gold.jsonl")
        self.sample("all-stops.jsonl", "--what", "stop", "--set", "count=9999")
        told = self.calibrate("overrides", both, "all-stops.jsonl", "--labels", "gold.jsonl", "--out", "overrides.jsonl").out
        self.assertIn(f"{len(items) + len(stops)} turns judged", told)
        finished = run(["label", self.inputs / "data/train.jsonl", "--overrides", "overrides.jsonl", "--out", "labels.jsonl"],
                       self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        labelled = {f"{row['session_id']}/{sample['turn']}": (row, sample)
                    for row in rows_of(self.folder / "labels.jsonl") for sample in row["samples"]}

        def words_of(texts):
            return [" ".join("".join(c if c.isalnum() else " " for c in text.lower()).split()) for text in texts]

        for context, facts in said.items():
            row, sample = labelled[context]
            self.assertEqual(words_of(row["items"][i]["fact"] for i in sample["wanted"]), words_of(facts))
            self.assertEqual([row["items"][i]["question"] for i in sample["wanted"]][:len(asked[context])],
                             asked[context])
        for item in stops:
            self.assertEqual(labelled[item["context"]][1]["decision"], "continue")
        nothing = self.calibrate("overrides", both, "--labels", self.write_rows("none.jsonl", []), "--out", "x", code=1)
        self.assertIn("nobody has judged", nothing.error())

    def test_labels_in_a_spreadsheet(self):
        context = next(context for context, (_, sample) in self.samples.items() if sample["wanted"])
        formulas = ["=1+1?", "+1?", "-1?", "@SUM(A1)?", '=HYPERLINK("http://x";"y")?']
        self.sample("items.jsonl", "--replies", self.write_rows(
            "replies.jsonl", [{"context": context, "text": text} for text in [*formulas, "Why, and since when?"]]))
        both = [*rows_of(self.folder / "items.jsonl"), *self.sample("extract.jsonl", "--what", "extract"),
                *self.sample("stop.jsonl", "--what", "stop")]
        items = self.write_rows("items.jsonl", both)
        rows = self.sheet(items)
        self.assertEqual([row["item"] for row in rows], [item["id"] for item in both])
        self.assertEqual([cell for row in rows for cell in row.values() if cell[:1] in tuple("=+-@\t\r")], [])
        self.assertEqual({row["to judge"] for row in rows if row["kind"] == "grade"},
                         {"'" + text for text in formulas} | {"Why, and since when?"})
        expected, rng = [], random.Random(1)
        for row, item in zip(rows, both, strict=True):
            label = {"item": item["id"], "by": "anna", "note": f'=odd, "note"\r\n{rng.random()}, \u00e9\U0001f600'}
            if item["kind"] == "grade":
                row["label"] = rng.choice(["0", "0.5", "1", "unsure"])
                label |= {"unsure": True} if row["label"] == "unsure" else {"grade": float(row["label"])}
            elif item["kind"] == "stop":
                row["label"] = label["decision"] = rng.choice(["stop", "continue"])
            else:
                label["items"] = [rng.choice(["right", "wrong"]) for _ in item["items"]]
                wrong = [claim for claim, said in zip(item["items"], label["items"]) if said == "wrong"]
                label["missing"] = [line for claim in wrong for line in claim["fact"].split("\n")[:1]]
                row["label"], row["missing"] = " ".join(label["items"]) or "none", "\n".join(label["missing"])
            row["note"] = label["note"]
            expected.append(label)
        self.fill(rows)
        importing = ["import", "sheet.csv", "--items", items, "--by", "anna", "--labels", "gold.jsonl"]
        self.calibrate(*importing)
        gold = self.folder / "gold.jsonl"
        self.assertEqual([{key: row[key] for key in row if key != "time"} for row in rows_of(gold)], expected)
        first = gold.read_bytes()
        self.assertIn(f"{len(both)} labels read, 0 of them new", self.calibrate(*importing).out)
        self.assertEqual(gold.read_bytes(), first)
        again = self.sheet(items, ["--labels", gold])
        self.assertEqual([row["label"] for row in again], [row["label"] for row in rows])
        for wrong, cell in ((3, "0.7"), (10, "right right right right right right"), (-1, "perhaps")):
            spoilt = [dict(row) for row in rows]
            spoilt[0]["label"] = "unsure" if rows[0]["label"] != "unsure" else "1"
            spoilt[wrong]["label"] = cell
            self.fill(spoilt)
            with open(self.folder / "sheet.csv", encoding="utf-8-sig", newline="") as file:
                reader, begins = csv.reader(file), []
                begins = [reader.line_num for _ in reader]
            line = begins[wrong - 1 if wrong < 0 else wrong] + 1  # after the end of the row before
            self.assertIn(f"sheet.csv:{line}: '", self.calibrate(*importing, code=1).error())
            self.assertEqual(gold.read_bytes(), first)
        self.calibrate("import", self.write_rows("more.jsonl", [{"item": both[0]["id"], "by": "ben", "grade": 1}]),
                       *importing[2:])
        last = json.loads(gold.read_text().splitlines()[-1])
        self.assertEqual((last["item"], last["by"], last["grade"]), (both[0]["id"], "ben", 1))

    def assert_agree(self, measured, units):
        pairs = [unit for unit in units if None not in unit]
        self.assertEqual(measured["linear_kappa"]["count"], len(pairs))
        for key, value in (("linear_kappa", kappa(pairs)), ("alpha", alpha(pairs))):
            self.assertAlmostEqual(measured[key]["value"], value, places=9)
            self.assertLess(measured[key]["low"], value)
            self.assertGreater(measured[key]["high"], value)
        table = [[sum(unit == (a, b) for unit in units) for b in (0, 0.5, 1, None)] for a in (0, 0.5, 1, None)]
        self.assertEqual(measured["table"], table)

    def test_reports_how_far_all_agree(self):
        items, rng = rows_of(self.items), random.Random(2)
        grades = {name: {item["id"]: rng.choice([0, 0.5, 1, fair(item["reply"], [o["question"] for o in item["open"]])])
                         for item in items if rng.random() < share}
                  for name, share in (("anna", 0.9), ("ben", 0.6), ("carla", 0.3))}
        rows = [{"item": item, "by": name, "grade": grade} for name in grades for item, grade in grades[name].items()]
        rows += [{"item": item["id"], "by": "carla", "unsure": True} for item in items
                 if item["id"] not in grades["carla"]]
        gold = self.write_rows("gold.jsonl", rows)

        def said(question, opened, seed):
            """None where no verdict can be read; else one that may depend on when it is asked."""
            drawn = random.Random(json.dumps([question, opened]))
            if drawn.random() < 0.15:
                return None
            return (fair(question, opened) * 2 + seed * (drawn.random() < 0.4)) % 3 / 2

        def answer(messages, seed):
            content = said(*judged_case(messages), seed)
            return "I cannot say." if content is None else verdict(content)

        model = Model(self, grade=answer)
        strict = ["report", self.items, "--labels", gold, "--out", "report", "--grader", "words", "llm", "--repeats", 3,
                  *model.settings]
        command = [*strict, "--set", "max_failure_rate=1"]
        counted = self.calibrate(*command, "--dry-run")
        self.assertEqual((model.requests, (self.folder / "report").exists()), ([], False))
        finished = self.calibrate(*command)
        failures = re.search(r"prompt [0-9a-f]{8}\): no verdict on (\d+) of (\d+) questions, the first: .*I cannot say",
                             finished.out)
        calls = int(re.match(r"grader llm: (\d+) calls, ", counted.out)[1])
        again = sum(len(messages) > 2 for _, messages in model.requests)
        self.assertEqual(calls, len(model.requests) - again)  # second questions are not foreseen
        report = json.loads((self.folder / "report/agreement.json").read_text())
        self.assertEqual((report["items"], report["people"]), (len(items), ["anna", "ben", "carla"]))
        pairs = list(itertools.combinations(grades, 2))
        self.assertEqual([(pair["a"], pair["b"]) for pair in report["between_people"]], pairs)
        for measured, (a, b) in zip(report["between_people"], pairs):
            self.assert_agree(measured, [(grades[a][id], grades[b][id]) for id in grades[a] if id in grades[b]])
        together = [[of[item["id"]] for of in grades.values() if item["id"] in of] for item in items]
        self.assertAlmostEqual(report["people_alpha"]["value"], alpha(together), places=9)
        middle = {item["id"]: sorted(unit)[(len(unit) - 1) // 2] for item, unit in zip(items, together) if unit}
        asked = [item for item in items if item["id"] in middle]
        graders = {grader["b"].split()[0]: grader for grader in report["graders"]}
        of_words = graders["words"]["b"]  # a name that stands in the items too
        self.assert_agree(graders["words"], [(middle[item["id"]], item["verdicts"][of_words]) for item in asked])
        answers = [[said(item["reply"], [open["question"] for open in item["open"]], seed) for seed in range(3)]
                   for item in asked]
        self.assertIn([None] * 3, answers)
        flat = [grade for answer in answers for grade in answer]
        self.assertEqual([int(count) for count in failures.groups()], [flat.count(None), len(flat)])
        refused = self.calibrate(*strict, "--set", f"llm.url={model.url}", code=1)
        self.assertIn(f"no verdict on {flat.count(None)} of {len(flat)} questions, the first: ", refused.error())
        self.assertIn("(max_failure_rate=0.05)", refused.error())
        self.assert_agree(graders["llm"], [(middle[item["id"]], answer[0]) for item, answer in zip(asked, answers)])
        spreads = [max(answer) - min(answer) for answer in answers if None not in answer]
        self.assertAlmostEqual(graders["llm"]["spread"], sum(spreads) / len(spreads), places=9)
        self.assertAlmostEqual(graders["llm"]["changed"], sum(map(bool, spreads)) / len(spreads), places=9)
        self.assertGreater(graders["llm"]["changed"], 0)
        self.assertIsNone(graders["words"]["spread"])
        self.assertIn(f"{len(model.requests)} calls", finished.out)
        spread = {row["item"]: row["spread"] for row in rows_of(self.folder / "report/verdicts.jsonl")}
        for item, answer in zip(asked, answers):
            given = [grade for grade in answer if grade is not None]
            expected = [max(given) - min(given)] if len(given) > 1 else []
            self.assertEqual(list(spread[item["id"]].values()), expected)

    def test_reports_what_asking_match_first_costs_and_saves(self):
        model = Model(self, grade=lambda messages, _: verdict(fair(*judged_case(messages))))
        command = ["report", self.items, "--labels", self.fair_labels(), "--out", "report", "--grader", "match", "llm",
                   "--set", "grading.prefilter=true", *model.settings]
        counted = self.calibrate(*command, "--dry-run")
        finished = self.calibrate(*command)
        self.assertTrue(counted.out.startswith(f"grader llm: {len(model.requests)} calls"), counted.out)
        graders = json.loads((self.folder / "report/agreement.json").read_text())["graders"]
        alone, first, match = (grader["b"] for grader in graders)
        self.assertEqual(first, f"{alone} where not sure: {match}")
        self.assertEqual(graders[0]["linear_kappa"]["value"], 1)  # the judge says what people say
        rows = rows_of(self.folder / "report/verdicts.jsonl")
        self.assertEqual([row["item"] for row in rows], [item["id"] for item in rows_of(self.items)])
        passed_on = 0
        for row in rows:
            said = {grader: verdicts for grader, (verdicts,) in row["verdicts"].items()}
            self.assertEqual(said[alone], row["people"])
            sure = said[match] in (0, 1)
            passed_on += not sure
            self.assertEqual(said[first], said[match] if sure else said[alone])
        self.assertTrue(0 < passed_on < len(rows))
        self.assertIn(f"{passed_on} of {len(rows)} questions were not clear to match", finished.out)
        self.assertEqual(len(model.requests), len(rows), "what was asked with the filter was asked again without")
