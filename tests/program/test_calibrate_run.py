"""`calibrate run`: a scripted model is told what it needs, and nothing that came is asked for twice."""

import collections
import hashlib
import json
import random
import re
import signal
import subprocess

from program import Finished, run, start
from scripted_calibration import (FIND_ALL, PHRASES, SHIPPED, CalibrationTest, Model, fair, given_prompt, judge,
                                  judged_case, rows_of, told, verdict)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def told_to_find_all(messages, seed):
    """One of four candidates says so."""
    return {"prompt": told(given_prompt(messages), FIND_ALL if seed % 4 == 3 else f"Variant {seed}.")}


class CalibrateRunTest(CalibrationTest):
    def test_finds_what_the_judge_has_to_be_told(self):
        model = Model(self, grade=judge)
        gold = self.fair_labels()
        finished = self.calibrate(*self.search(model, gold))
        self.assertIn("it is better", finished.out)
        result, prompt = self.result(), (self.folder / "out/prompt.txt").read_text()
        shipped = (SHIPPED / "grading/question.en.txt").read_text()
        self.assertIn(prompt, [told(told(shipped, a), b) for a, b in (PHRASES, PHRASES[::-1])])
        self.assertTrue(any("Mind the commas." in trial["prompt"] for trial in result["trials"]))
        self.assertEqual((result["improved"], result["prompt_sha256"]), (True, sha256(prompt)))
        self.assertGreater(result["gain"]["low"], 0)
        for step in ("critique", "rewrite"):
            self.assertEqual(result[f"{step}_sha256"], sha256((SHIPPED / f"optimiser/{step}.en.txt").read_text()))
        self.assertEqual([trial["loss"] for trial in result["trials"] if trial["prompt"] == prompt], [0])
        # What had no place was asked for again; what had none twice was never tried, and is kept.
        again = [messages for task, messages in model.requests if task == "rewrite" and len(messages) > 2]
        self.assertGreater(len(again), 2)
        self.assertTrue(all("open" in messages[-1]["content"] for messages in again))
        self.assertTrue(all("{open}" in trial["prompt"] for trial in result["trials"]))
        self.assertGreater(len(result["refused"]), 0)
        for refused in result["refused"]:
            self.assertNotIn("{open}", refused["prompt"])
            self.assertIn("open", refused["reason"])
            self.assertGreaterEqual(refused["round"], 1)
        for more, high in ((["--set", "grading.prompt=out/prompt.txt"], 1.0), ([], 0.7)):
            self.calibrate("report", self.items, "--labels", gold, "--out", "report", "--grader", "llm",
                           *model.settings, *more)
            grader = json.loads((self.folder / "report/agreement.json").read_text())["graders"][0]
            self.assertLessEqual(grader["linear_kappa"]["value"], high)
            self.assertEqual(grader["linear_kappa"]["low"] == 1, high == 1)
        # What each prompt cost is, together, what all calls did; each verdict costs a call.
        spent = [trial["spent"] for trial in result["trials"]] + [result["writing"]]
        self.assertEqual(sum(one["calls"] for one in spent), len(self.replied(self.folder)))
        self.assertEqual(result["trials"][0]["spent"]["calls"], 60)
        before = (self.folder / "out/search.json").read_bytes()
        fewer = self.write_rows("fewer.jsonl", rows_of(gold)[:-1])
        refused = self.calibrate(*self.search(model, fewer), code=1)
        self.assertIn("of a search with other settings, items or labels: give another --out", refused.error())
        self.assertEqual((self.folder / "out/search.json").read_bytes(), before)

    def test_keeps_the_prompt_where_nothing_helps(self):
        def memorise(messages, _):
            lines = messages[1]["content"].splitlines()
            cases = [json.loads(line) for line in lines if line.startswith('{"conversation"')]
            return {"critique": " ".join(code(case["message"], [o["question"] for o in case["still_found_out"]])
                                         for case in cases)}

        def code(question, opened):
            return "case-" + sha256(json.dumps([question, opened]))[:12]

        def lenient(messages, _):
            known = code(*judged_case(messages)) in messages[0]["content"]
            return verdict(fair(*judged_case(messages)) if known else 0.5)

        shipped = (SHIPPED / "grading/question.en.txt").read_text()
        gold = self.fair_labels()
        learner = Model(self, grade=lenient, critique=memorise, rewrite=lambda messages, _: {
            "prompt": told(given_prompt(messages), " ".join(re.findall("case-[0-9a-f]+", messages[1]["content"])))})
        useless = Model(self, grade=judge, rewrite=lambda messages, seed: {
            "prompt": told(given_prompt(messages), f"Variant {seed}.")})
        for model, says in ((learner, "that may be luck"), (useless, "none did better")):
            self.folder = self.new_folder()
            finished = self.calibrate(*self.search(model, gold, "--set", "search.rounds=3"))
            self.assertIn(says, finished.out)
            self.assertFalse((self.folder / "out/prompt.txt").exists())
            result = self.result()
            self.assertEqual((result["improved"], result["prompt_sha256"]), (False, sha256(shipped)))
            self.assertEqual(result["trials"][0]["prompt"], shipped)
            self.assertGreater(len(result["trials"]), 3)
            # The learner does better on all that it was shown, and that is none of what decides.
            self.assertEqual(result["gain"] and result["gain"]["value"], 0 if model is learner else None)

    def test_killed_at_any_moment_it_ends_in_the_same_bytes(self):
        model = Model(self, grade=judge)
        self.kill(model, self.search(model, self.fair_labels()), 16)

    def test_a_search_for_a_reader_is_killed_at_any_moment(self):
        model = Model(self, extract=self.reader(), rewrite=told_to_find_all)
        self.kill(model, self.search_for_reader(model), 8)

    def kill(self, model, search, times):
        """Kills the search at random moments; however often that was, it ends as one that was let alone."""
        model.delay_s = 0.01
        command = ["calibrate", *search, "--set", "llm.concurrency=4"]
        untouched = self.new_folder()
        finished = run(command, untouched)
        self.assertEqual(finished.code, 0, finished.err)
        expected, calls = (untouched / "out/search.json").read_bytes(), set(model.asked)
        self.assertTrue(self.result(untouched)["improved"])
        rng, kills, ended = random.Random(1), 0, 0
        while kills < times or ended == 0:
            folder, of_folder, done = self.new_folder(), 0, {}
            model.asked.clear()
            while True:
                process = start(command, folder)
                try:
                    process.wait(rng.uniform(0.1, 0.9 + 0.05 * of_folder))  # a busy machine needs longer
                    finished = Finished(process)
                    self.assertEqual(finished.code, 0, finished.err)
                    ended += 1
                    break
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    Finished(process)
                of_folder += 1
                model.wait_until_left()
                replied = self.replied(folder)
                for key, asked in done.items():
                    self.assertEqual(model.asked[key], asked, "asked again for what had come")
                by_hash = {sha256(key): key for key in model.asked}
                done = {by_hash[call]: model.asked[by_hash[call]] for call in replied}
            kills += of_folder
            self.assertEqual((folder / "out/search.json").read_bytes(), expected)
            self.assertEqual((folder / "out/prompt.txt").read_bytes(), (untouched / "out/prompt.txt").read_bytes())
            self.assertEqual(set(model.asked), calls)
            self.assertEqual({key: model.asked[key] for key in done}, done)
            self.assertLessEqual(sum(model.asked.values()), len(calls) + 4 * of_folder)
            self.assertEqual(len(self.replied(folder)), len(calls))

    def replied(self, folder):
        """The calls whose reply came, by the ledger; none of them twice."""
        ledger = folder / "out/ledger.jsonl"
        lines = ledger.read_text().split("\n")[:-1] if ledger.exists() else []
        replied = [row["call"] for row in map(json.loads, lines) if row.get("outcome") == "reply"]
        self.assertEqual(len(replied), len(set(replied)))
        return replied

    def reader(self):
        """It points at what the labels say, and leaves every second out unless it is told otherwise."""
        of_log = {"\n".join(message["content"] for message in row["messages"]): row for row in rows_of(self.labels)}

        def read(messages, _):
            lines = [json.loads(line) for line in messages[1]["content"].splitlines() if line.startswith('{"message":')]
            said = "\n".join(line["text"] for line in lines)
            row = next(row for log, row in of_log.items() if log.startswith(said))
            answers = []
            for item in row["items"]:
                source = item["source"]["message"]
                asked = max(n for n in range(source) if item["question"] in row["messages"][n]["content"])
                answers.append({"question_message": asked + 1, "question": item["question"], "unknown": False,
                                "answer_message": source + 1, "quotation": row["messages"][source]["content"]})
            return {"answers": answers if FIND_ALL in messages[0]["content"] else answers[::2]}

        return read

    def search_for_reader(self, model):
        """With labels of somebody who finds all items right."""
        items = self.sample("extract.jsonl", "--what", "extract")
        rows = [{"item": item["id"], "by": "anna", "items": ["right"] * len(item["items"])} for item in items]
        return self.search(model, self.write_rows("gold.jsonl", rows), "--sessions", self.inputs / "data/train.jsonl",
                           what="extract", items=self.folder / "extract.jsonl")

    def test_finds_what_the_reader_has_to_be_told(self):
        model = Model(self, extract=self.reader(), rewrite=told_to_find_all)
        finished = self.calibrate(*self.search_for_reader(model))
        self.assertIn("it is better", finished.out)
        result = self.result()
        self.assertEqual((self.folder / "out/prompt.txt").read_text(),
                         told((SHIPPED / "extraction/session.en.txt").read_text(), FIND_ALL))
        losses = {FIND_ALL in trial["prompt"]: trial["loss"] for trial in result["trials"]}
        self.assertEqual(losses[True], 0)
        self.assertGreater(losses[False], 0.1)
        self.assertGreater(result["gain"]["low"], 0)

        missing = ["run", "--what", "extract", "--items", "extract.jsonl", "--labels", "gold.jsonl", "--out", "out2"]
        self.assertIn("needs --sessions", self.calibrate(*missing, *model.settings, code=1).error())
        others = [*missing, *model.settings, "--sessions", self.inputs / "data/dev.jsonl"]
        self.assertIn("is not among the sessions", self.calibrate(*others, code=1).error())

    def test_a_model_in_process_invents_nothing(self):
        """One of random weights gives no verdict and writes no prompt."""
        gold = self.fair_labels()
        command = ["run", "--what", "grade", "--items", self.items, "--labels", gold, "--out", "out",
                   "--set", f"llm.in_process={self.inputs}/tiny.gguf", "--set", "grading.max_answer_tokens=16",
                   "--set", "writer.max_answer_tokens=64", "--set", "search.candidates=2"]
        self.assertIn("the writer gave none of 2 prompts", self.calibrate(*command, code=1).error())
        self.assertEqual([path.name for path in (self.folder / "out").glob("*.json")], [])
        outcomes = [outcome for row in rows_of(self.folder / "out/search.jsonl") for outcome in row["outcomes"]]
        self.assertGreater(len(outcomes), 10)
        self.assertEqual({outcome["loss"] for outcome in outcomes}, {1})
        self.assertTrue(all(outcome["said"].startswith("no verdict: ") for outcome in outcomes))

    def test_a_wrong_address_counts_against_no_prompt(self):
        """What could not be asked is no mistake, is not kept, and does not last when the address is mended."""
        model, gold = Model(self, grade=judge), self.fair_labels()
        command, untouched = self.search(model, gold), self.new_folder()
        self.calibrate(*command, folder=untouched)
        wrong = self.calibrate(*command, "--set", f"llm.url={model.url.removesuffix('/v1')}/elsewhere", code=1)
        self.assertRegex(wrong.error(), r"calibrate: item g-\S+: no answer: 404")
        self.assertEqual(rows_of(self.folder / "out/search.jsonl"), [])
        self.calibrate(*command)
        self.assertEqual([trial["loss"] for trial in self.result()["trials"]],
                         [trial["loss"] for trial in self.result(untouched)["trials"]])

    def test_counts_calls_before_they_are_made(self):
        useless = Model(self, grade=judge, rewrite=lambda messages, seed: {
            "prompt": told(given_prompt(messages), f"Variant {seed}.")})
        gold = self.fair_labels()
        command = self.search(useless, gold, "--set", "search.rounds=2")
        before = sorted(self.folder.rglob("*"))
        counted = self.calibrate(*command, "--dry-run")
        self.assertEqual((useless.requests, sorted(self.folder.rglob("*"))), ([], before))
        few, most = (int(calls) for calls in re.findall(r"about: (\d+) calls", counted.out))
        self.calibrate(*command)
        self.assertTrue(len(useless.requests) <= few < 2 * len(useless.requests), (few, len(useless.requests)))
        self.assertGreater(most, 10_000)
        self.assertEqual(self.calibrate(*command, "--dry-run").out, counted.out, "other prompts are not in the cache")
        limited = self.calibrate(*self.search(useless, gold, "--set", "llm.max_calls=25", "--set", "llm.cache=",
                                              out="limited"), code=1)
        self.assertIn("llm.max_calls: 25 of 25 calls are made: allow more", limited.error())
        sample = ["sample", self.labels, "--out", "more.jsonl", "--grader", "words", "llm", "--set", "pool=30",
                  "--repeats", 2, *useless.settings, "--set", "llm.cache="]
        counted, asked = self.calibrate(*sample, "--dry-run"), len(useless.requests)
        self.assertFalse((self.folder / "more.jsonl").exists())
        self.calibrate(*sample)
        self.assertTrue(counted.out.startswith(f"grader llm: {len(useless.requests) - asked} calls"), counted.out)

    def search_on_policy(self, model, *more):
        return self.search(
            model, None, "--contexts", self.labels, "--set", f"policy.model={self.inputs}/tiny.gguf",
            "--set", "policy.threads=1", "--set", "contexts=30", "--set", "search.rounds=2",
            "--set", "decoding.max_reply_tokens=8", "--set", "decoding.temperature=1", *more, what="policy")

    def test_tries_prompts_on_the_policy(self):
        model = Model(self, rewrite=lambda messages, seed: {"prompt": given_prompt(messages) + f"\nVariant {seed}."})
        command = self.search_on_policy(model, "--set", "reward.grader=words")
        self.calibrate(*command)
        result, shipped = self.result(), (SHIPPED / "policy_plain.txt").read_text().strip()
        self.assertEqual(result["trials"][0]["prompt"].strip(), shipped)
        self.assertEqual([trial["round"] for trial in result["trials"]], sorted(t["round"] for t in result["trials"]))
        self.assertGreater(len(result["trials"]), 4)
        self.assertEqual(result["improved"], (self.folder / "out/prompt.txt").exists())
        shown = "\n".join(messages[1]["content"] for task, messages in model.requests if task == "critique")
        self.assertIn('"the_model_replied":', shown)
        self.assertIn(json.dumps(result["trials"][0]["prompt"])[1:80], json.dumps(shown))
        losses = collections.defaultdict(list)
        for row in rows_of(self.folder / "out/search.jsonl"):
            losses[row.get("prompt")] += [outcome["loss"] for outcome in row.get("outcomes", [])]
        self.assertEqual(sum(map(len, losses.values())), result["outcomes"])
        for trial in result["trials"][0 if result["gain"] is None else 1:]:
            of_trial = losses[trial["prompt_sha256"]]
            if trial["prompt_sha256"] != result["best_sha256"] or result["gain"] is None:  # else also those held out
                self.assertEqual(len(of_trial), trial["items"])
                self.assertAlmostEqual(sum(of_trial) / len(of_trial), trial["loss"], places=9)
        before = (self.folder / "out/search.json").read_bytes(), sum(model.asked.values())
        self.calibrate(*command)
        self.assertEqual(((self.folder / "out/search.json").read_bytes(), sum(model.asked.values())), before)

    def test_who_writes_prompts_and_who_grades_spend_the_same_money(self):
        model = Model(self, grade=judge,
                      rewrite=lambda messages, seed: {"prompt": given_prompt(messages) + f"\nVariant {seed}."})
        command = self.search_on_policy(
            model, "--set", "reward.grader=llm", "--set", "reward.min_agreement=-1",
            "--set", "decoding.max_reply_tokens=64", "--set", "llm.price_prompt=1", "--set", "llm.price_completion=1")
        self.calibrate(*command)
        tasks = collections.Counter(task for task, _ in model.requests)
        self.assertGreater(min(tasks["grade"], tasks["rewrite"]), 0, tasks)
        self.assertEqual(len(self.replied(self.folder)), len(model.requests))
        spent = [trial["spent"] for trial in self.result()["trials"]] + [self.result()["writing"]]
        self.assertEqual(sum(one["calls"] for one in spent), len(model.requests))
        cost = sum(one["cost"] for one in spent)
        self.assertAlmostEqual(cost, self.cost())
        self.folder = self.new_folder()
        refused = self.calibrate(*command, "--set", f"llm.max_spend={cost / 2}", code=1)
        self.assertIn("llm.max_spend", refused.error())
        self.assertTrue(0 < self.cost() <= cost / 2)

    def cost(self):
        return sum(json.loads(line).get("cost", 0) for line in (self.folder / "out/ledger.jsonl").read_text().splitlines())
