"""`label` and `grade` by a language model: an endpoint that misbehaves, a key that expires, kill -9 at any moment."""

import hashlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import time

from program import INTERRUPTED, ProgramTest, Finished, run, start

ENDPOINT = os.environ.get("LEARN2ASK_ENDPOINT") or sys.exit("LEARN2ASK_ENDPOINT: the endpoint to ask")
KEY = "sk-never-shown-0123456789"
PATIENT, HASTY = 30, 0.3  # llm.timeout_s where each call is answered, and where some hang


def text_of(path):
    return path.read_text() if path.exists() else ""


class LlmTest(ProgramTest):
    def endpoint(self, mode):
        process = subprocess.Popen([ENDPOINT, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def end():
            process.stdin.close()
            process.stdout.close()
            process.wait(20)

        self.addCleanup(end)
        process.url = process.stdout.readline().strip()
        return process

    def calls(self, endpoint):
        endpoint.stdin.write("\n")
        endpoint.stdin.flush()
        return int(endpoint.stdout.readline())

    def label(self, url, *more, timeout=PATIENT):
        settings = {"extractor": "llm", "llm.url": url, "llm.model": "reader", "llm.timeout_s": timeout,
                    "llm.max_attempts": 30, "llm.first_wait_s": 0.01, "llm.longest_wait_s": 0.05,
                    "extraction.sessions_at_once": 16}
        words = ["label", self.inputs / "data/train.jsonl", "--out", "out.jsonl"]
        for key, value in settings.items():
            words += ["--set", f"{key}={value}"]
        return words + list(more)

    def stopped(self, command, stop_signal, is_time):
        """The folder of a run that got the signal at `is_time(folder)`, before it was done, and how that ended."""
        for _ in range(20):
            folder = self.new_folder()
            process = start(command, folder)
            while process.poll() is None and not is_time(folder):
                time.sleep(0.01)
            process.send_signal(stop_signal)
            finished = Finished(process)
            if finished.code != 0:
                return folder, finished
        self.fail("it was always done before it could be stopped")

    def labels(self, folder):
        return (folder / "out.jsonl").read_bytes()

    def test_labels_with_what_the_model_points_at(self):
        endpoint = self.endpoint("well")
        finished = run(self.label(endpoint.url), self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        rows = [json.loads(line) for line in self.labels(self.folder).splitlines()]
        self.assertIn("reader at http://127.0.0.1", rows[0]["extractor"])
        self.assertEqual(len(rows[0]["prompt_sha256"]), 64)
        items = 0
        for row in rows[1:]:
            for item in row["items"]:
                source = row["messages"][item["source"]["message"]]
                self.assertEqual(source["role"], "user")
                said = source["content"].encode()[item["source"]["begin"]:item["source"]["end"]].decode()
                self.assertEqual(said, item["fact"])
                asked = row["messages"][:item["source"]["message"]]
                self.assertTrue(any(item["question"].rstrip("?") in m["content"] for m in asked
                                    if m["role"] == "assistant"), item)
                items += 1
        self.assertGreater(items, 100)

        calls = self.calls(endpoint)
        self.assertIn(f"{calls} calls,", finished.out)
        again = run(self.label(endpoint.url), self.folder)
        self.assertEqual(again.code, 0, again.err)
        self.assertEqual(self.calls(endpoint), calls, "an answer that had come was asked for again")

    def test_each_turn_by_itself(self):
        endpoint = self.endpoint("well")
        finished = run(self.label(endpoint.url, "--set", "extraction.per=turn"), self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        self.assertGreater(self.calls(endpoint), 100)

    def test_counts_calls_before_they_are_made(self):
        endpoint = self.endpoint("well")
        counted = run(self.label(endpoint.url, "--dry-run"), self.folder)
        self.assertEqual(counted.code, 0, counted.err)
        self.assertEqual(self.calls(endpoint), 0)
        self.assertFalse((self.folder / "out.jsonl").exists())
        run(self.label(endpoint.url), self.folder)
        self.assertTrue(counted.out.startswith(f"{self.calls(endpoint)} calls, about "), counted.out)

    def test_killed_at_any_moment_it_ends_in_the_same_bytes(self):
        endpoint = self.endpoint("hostile")
        untouched = self.new_folder()
        finished = run(self.label(endpoint.url, timeout=HASTY), untouched)
        self.assertEqual(finished.code, 0, finished.err)
        expected = self.labels(untouched)
        polite = self.new_folder()
        self.assertEqual(run(self.label(self.endpoint("well").url), polite).code, 0)
        self.assertEqual(self.labels(polite).split(b"\n")[1:], expected.split(b"\n")[1:], "a label was made up")
        self.kill(self.label(endpoint.url, timeout=HASTY), 50, expected)

    def kill(self, command, times, expected):
        """Kills it at random moments; however often that was, it ends with `expected` in out.jsonl."""
        rng, kills = random.Random(1), 0
        while kills < times:
            folder, of_folder = self.new_folder(), 0
            while True:
                process = start(command, folder)
                try:
                    process.wait(rng.uniform(0.02, 1 + 0.05 * of_folder))  # a busy machine needs longer
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                finished = Finished(process)
                if finished.code == 0:
                    break
                self.assertEqual(finished.code, -signal.SIGKILL, finished.err)
                if (folder / "out.jsonl").exists():  # killed after all was done
                    self.assertEqual(self.labels(folder), expected)
                of_folder += 1
            kills += of_folder
            self.assertEqual(self.labels(folder), expected)
            self.assert_every_reply_came_once(folder / "out.ledger.jsonl")

    def assert_every_reply_came_once(self, ledger):
        rows = [json.loads(line) for line in ledger.read_text().splitlines()]
        replied = [row["call"] for row in rows if row.get("outcome") == "reply"]
        self.assertEqual(len(replied), len(set(replied)))

    def test_an_answer_of_ten_megabytes_labels_nothing(self):
        """Its session stays unread and is counted; of many the run says so and writes no labels."""
        endpoint = self.endpoint("long")
        command = self.label(endpoint.url, "--set", "label.max_failure_rate=1")
        finished = run(command, self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        polite = self.new_folder()
        self.assertEqual(run(self.label(self.endpoint("well").url), polite).code, 0)
        failed = [json.loads(line) for line in (self.folder / "out.failures.jsonl").read_text().splitlines()]
        self.assertTrue(all("an answer of more than 4194304 bytes" in row["error"] for row in failed), failed)
        lines = (self.inputs / "data/train.jsonl").read_text().splitlines()
        unread = {json.loads(lines[int(row["where"].rsplit(":", 1)[1]) - 1])["session_id"] for row in failed}
        rows, whole = ([json.loads(line) for line in self.labels(folder).splitlines()[1:]]
                       for folder in (self.folder, polite))
        for row, expected in zip(rows, whole, strict=True):
            if row["session_id"] in unread:
                self.assertEqual([sample["wanted"] for sample in row["samples"] if sample["decision"] == "continue"],
                                 [None for sample in row["samples"] if sample["decision"] == "continue"])
            else:
                self.assertEqual(row, expected)
        self.assertTrue(0 < len(unread) < len(rows))
        self.assertEqual(self.calls(endpoint), len(rows))
        (self.folder / "out.jsonl").unlink()
        strict = run(self.label(endpoint.url), self.folder)
        self.assertEqual(strict.code, 1)
        self.assertIn(f"{len(unread)} of {len(rows)} sessions failed", strict.error())
        self.assertFalse((self.folder / "out.jsonl").exists())

    def test_ctrl_c_keeps_what_came(self):
        endpoint = self.endpoint("hostile")
        command = self.label(endpoint.url, timeout=HASTY)
        folder, finished = self.stopped(
            command, signal.SIGINT, lambda folder: '"outcome":"reply"' in text_of(folder / "out.ledger.jsonl"))
        self.assertEqual(finished.code, 1, finished.err)
        self.assertEqual(finished.error(), INTERRUPTED)
        again = run(command, folder)
        self.assertEqual(again.code, 0, again.err)

    def test_a_key_that_expires_pauses_the_run(self):
        endpoint = self.endpoint("expired")
        finished = run(self.label(endpoint.url, timeout=HASTY), self.folder,
                       env=os.environ | {"LEARN2ASK_LLM_KEY": KEY})
        self.assertEqual(finished.code, 1)
        self.assertIn("401: no such key", finished.error())
        self.assertRegex(finished.err, r"(?m)^\d+ calls.*, cost 0\.0000$")
        self.assertIn("run the same command again", finished.error())
        self.assertFalse((self.folder / "out.jsonl").exists())
        for path in self.folder.rglob("*"):
            if path.is_file():
                self.assertNotIn(KEY.encode(), path.read_bytes(), path)
        self.assertNotIn(KEY, finished.out + finished.err)

    def test_waits_for_an_endpoint_that_is_away_and_then_pauses(self):
        with socket.socket() as taken:  # bound, and nobody listens
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
            finished = run(self.label(url, "--set", "llm.max_outage_s=0.5"), self.folder)
        self.assertEqual(finished.code, 1)
        self.assertRegex(finished.error(), "no answer for 0.5 s .*: see to the endpoint, then run the same command again")
        self.assertFalse((self.folder / "out.jsonl").exists())

    def test_sends_nothing_outside_the_house(self):
        finished = run(self.label("http://93.184.216.34/v1"), self.folder)
        self.assertEqual(finished.code, 1)
        self.assertIn("would be sent every message of the sessions of", finished.error())
        self.assertIn("llm.allow_external", finished.error())
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_says_what_is_wrong_with_its_settings(self):
        for more, message in ((["--set", "llm.url="], "llm.url"),
                              (["--set", "llm.model="], "llm.model: missing"),
                              (["--set", "llm.key_file=none"], "llm.key_file: the file that it names: No such file"),
                              (["--set", "extraction.prompt=./none"], "none"),
                              (["--set", "llm.max_spend=5"], "llm.max_spend: needs llm.price_prompt")):
            with self.subTest(message):
                finished = run(self.label("http://127.0.0.1:9/v1", *more), self.folder)
                self.assertEqual(finished.code, 1)
                self.assertIn(message, finished.error())

    def judged(self, url, timeout=PATIENT):
        return ["--set", f"llm.url={url}", "--set", "llm.model=judge", "--set", f"llm.timeout_s={timeout}",
                "--set", "llm.max_attempts=30",
                "--set", "llm.first_wait_s=0.01", "--set", "llm.longest_wait_s=0.05"]

    def counted(self, command, endpoint):
        """The calls that `command` says it would make; it makes none, and no file."""
        before = self.calls(endpoint), sorted(self.folder.rglob("*"))
        finished = run([*command, "--dry-run"], self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        self.assertEqual((self.calls(endpoint), sorted(self.folder.rglob("*"))), before)
        return int(re.fullmatch(r"grader llm, estimated: (\d+) calls, about .*\n", finished.out)[1])

    def test_judges_an_evaluation(self):
        endpoint = self.endpoint("well")
        policy = ["--set", f"policy.model={self.inputs}/tiny.gguf", "--set", "policy.threads=1"]
        command = ["eval", self.inputs / "labels/dev.jsonl", "--split", "dev", "--out", "out", "--grader", "words",
                   "--grader", "llm", *policy, *self.judged(endpoint.url), "--set", "llm.prices=[judge=1e6/0]"]
        about = self.counted(command, endpoint)
        finished = run(command, self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        calls = self.calls(endpoint)
        self.assertGreater(calls, 10)
        self.assertLessEqual(calls, about)
        self.assertEqual(self.counted(command, endpoint), about, "other replies are not in the cache")
        self.assertLess(about, 6 * calls)  # a policy of random weights stops or is malformed often
        total = re.search(rf"grader llm: {calls} calls.*, cost [1-9][0-9]*\.0000", finished.out)
        self.assertTrue(total, finished.out)
        self.assertIn(total[0], (self.folder / "out/report.html").read_text())
        rows = [json.loads(line) for line in (self.folder / "out/rows/expert.llm.jsonl").read_text().splitlines()]
        self.assertTrue(any("by its words" in json.dumps(row) for row in rows))

    def test_rewards_a_training_run(self):
        endpoint = self.endpoint("hostile")
        command = self.commands()["train grpo"] + ["--set", "reward.grader=llm", "--set", "reward.min_agreement=-1"]
        untouched = self.new_folder()
        about = self.counted([*command, *self.judged(endpoint.url)], endpoint)
        finished = run([*command, *self.judged(endpoint.url, timeout=HASTY)], untouched)
        self.assertEqual(finished.code, 0, finished.err)
        asked = {json.loads(line)["call"] for line in (untouched / "out/ledger.jsonl").read_text().splitlines()}
        self.assertTrue(0 < len(asked) <= about, (len(asked), about))
        self.assertTrue((untouched / "out/prompts/grading.txt").exists())
        folder, killed = self.stopped([*command, *self.judged(endpoint.url, timeout=HASTY)], signal.SIGKILL,
                                      lambda folder: text_of(folder / "out/metrics.jsonl"))
        self.assertEqual(killed.code, -signal.SIGKILL, killed.err)
        # With another timeout it is still the same run.
        again = run([*command, *self.judged(endpoint.url, timeout=0.4)], folder)
        self.assertEqual(again.code, 0, again.err)
        for name in ("adapter/adapter_model.safetensors", "rollouts.jsonl"):
            self.assertEqual((folder / "out" / name).read_bytes(), (untouched / "out" / name).read_bytes(), name)

    def questions(self):
        """One to each context where something is open, of the log and off the subject in turn."""
        given = []
        for line in (self.inputs / "labels/dev.jsonl").read_text().splitlines()[1:]:
            row = json.loads(line)
            for i, sample in enumerate(row["samples"]):
                if sample["wanted"] and sample["decision"]:
                    text = row["items"][sample["wanted"][0]]["question"] if i % 2 else "Is it sunny out there?"
                    given.append({"context": f"{row['session_id']}/{sample['turn']}", "text": text})
        return given

    def test_a_grading_killed_at_any_moment_ends_in_the_same_bytes(self):
        replies = self.inputs / "questions.jsonl"
        replies.write_text("".join(json.dumps(reply) + "\n" for reply in self.questions()))
        endpoint = self.endpoint("hostile")
        command = ["grade", self.inputs / "labels/dev.jsonl", "--replies", replies, "--out", "out.jsonl",
                   "--set", "reward.grader=llm", "--set", "reward.min_agreement=-1", "--set", "llm.concurrency=2"]
        self.assertEqual(run([*command, *self.judged(endpoint.url, timeout=HASTY)], self.folder).code, 0)
        expected = self.labels(self.folder)
        polite = self.new_folder()
        self.assertEqual(run([*command, *self.judged(self.endpoint("well").url)], polite).code, 0)
        without_name = [folder.split(b"\n")[1:] for folder in (expected, self.labels(polite))]
        self.assertEqual(*without_name, "a grade was made up")
        self.kill([*command, *self.judged(endpoint.url, timeout=HASTY)], 20, expected)

    def test_grades_replies(self):
        given = self.questions()
        given += given[:5]  # equal calls are asked once
        replies = self.folder / "replies.jsonl"
        lines = [json.dumps(reply) + "\n" for reply in given]
        replies.write_text("".join(lines))
        endpoint = self.endpoint("hostile")
        command = ["grade", self.inputs / "labels/dev.jsonl", "--replies", "replies.jsonl", "--out", "graded.jsonl"]
        judged = [*command, "--set", "reward.grader=llm", "--set", "reward.min_agreement=-1",
                  *self.judged(endpoint.url, timeout=HASTY)]
        counted = run([*judged, "--dry-run"], self.folder)
        self.assertEqual(counted.code, 0, counted.err)
        self.assertEqual(list(self.folder.iterdir()), [replies])
        finished = run(judged, self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        ledger = (self.folder / "graded.ledger.jsonl").read_text().splitlines()
        replied = {json.loads(line)["call"] for line in ledger if '"sent"' in line}
        self.assertTrue(counted.out.startswith("grader llm: "), counted.out)
        self.assertLessEqual(int(re.search(r"(\d+) calls", counted.out)[1]), len(replied))
        self.assertGreater(int(re.search(r"(\d+) calls", counted.out)[1]), len(given) / 2)
        rows = [json.loads(line) for line in (self.folder / "graded.jsonl").read_text().splitlines()]
        self.assertIn("judge at", rows[0]["grader"])
        prompt = pathlib.Path(__file__).parents[2] / "prompts/grading/question.en.txt"
        self.assertEqual(rows[0]["grading_prompts"],
                         {rows[0]["grader"]: hashlib.sha256(prompt.read_bytes()).hexdigest()})
        self.assertEqual([{key: row[key] for key in ("context", "text")} for row in rows[1:]], given)
        self.assertEqual({row["micro"] for row in rows[1:]}, {0.0, 1.0})
        self.assertTrue(any(row["reason"] == "by its words" for row in rows[1:]))
        self.assertFalse((self.folder / "graded.failures.jsonl").exists())

        # A model of random weights gives no verdict: none is made up, and the run ends.
        mute = [*command[:-1], "mute.jsonl", "--set", "reward.grader=llm", "--set", "reward.min_agreement=-1",
                "--set", f"llm.in_process={self.inputs}/tiny.gguf", "--set", "grading.max_answer_tokens=16"]
        finished = run(mute, self.folder)
        self.assertEqual(finished.code, 1)
        self.assertRegex(finished.error(), r"grade: (\d+) of \1 replies failed, more than max_failure_rate 0.05: first: .*"
                                           r"all of them: mute.failures.jsonl")
        self.assertFalse((self.folder / "mute.jsonl").exists())
        finished = run([*mute, "--set", "max_failure_rate=1"], self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        rows = [json.loads(line) for line in (self.folder / "mute.jsonl").read_text().splitlines()][1:]
        self.assertEqual({row["reward"] for row in rows}, {None})
        failed = [json.loads(line) for line in (self.folder / "mute.failures.jsonl").read_text().splitlines()]
        self.assertEqual([row["where"] for row in failed], [row["context"] for row in given])
        self.assertTrue(all(row["error"] for row in failed))

        replies.write_text(lines[0] + json.dumps({"context": "nobody/1", "text": "?"}) + "\n")
        finished = run(command, self.folder)
        self.assertEqual(finished.code, 1)
        self.assertIn("replies.jsonl:2: 'context': the labels have no sample 'nobody/1'", finished.error())

    def test_asks_a_model_in_process(self):
        """One of random weights keeps to the form, as nothing but its schema can make it, and finds no fact."""
        command = ["label", self.inputs / "data/dev.jsonl", "--out", "out.jsonl", "--set", "extractor=llm",
                   "--set", f"llm.in_process={self.inputs}/tiny.gguf", "--set", "extraction.max_answer_tokens=16",
                   "--set", "label.max_failure_rate=1"]
        finished = run(command, self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        rows = [json.loads(line) for line in self.labels(self.folder).splitlines()]
        self.assertRegex(rows[0]["extractor"], r"tiny\.gguf [0-9a-f]{8} in process")
        read = [sample["wanted"] for row in rows[1:] for sample in row["samples"]]
        self.assertIn([], read)
        self.assertTrue(all(not wanted for wanted in read))
        failures = self.folder / "out.failures.jsonl"
        for line in failures.read_text().splitlines() if failures.exists() else []:
            self.assertNotIn("not JSON", line)
        first = (self.folder / "out.ledger.jsonl").read_bytes()
        self.assertIn(b'"outcome":"reply"', first)
        again = run(command, self.folder)
        self.assertEqual(again.code, 0, again.err)
        self.assertEqual((self.folder / "out.ledger.jsonl").read_bytes(), first)
