"""`serve-reward` rewards the replies of other trainers as `grade` does, and gives no number where there is none."""

import concurrent.futures
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request

from program import SECONDS, ProgramTest, run, start
from reward_client import EXAMPLES, example

WORDS = ["--set", "reward.grader=words"]
PATHS = ("/score", "/trl", "/openrlhf", "/verl")
END_TOKENS = ("<|im_end|>", "<|eot_id|>", "<|endoftext|>", "</s>", "<end_of_turn>", "<|im_end|><|endoftext|>")


class Judge(http.server.ThreadingHTTPServer):
    """A chat endpoint that finds every question to the point, but for those that it `declines`."""

    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            messages = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
            asked = [line for line in messages[-1]["content"].splitlines() if line.startswith('"')]
            if asked and self.server.declines(json.loads(asked[0])):
                self.answer(400, {"error": {"message": "declined"}})
            else:
                said = json.dumps({"reason": "to the point", "content": 1, "format": 1}) if asked else "pong"
                self.answer(200, {"object": "chat.completion", "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]})

        def answer(self, status, body):
            body = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def __init__(self, declines):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.declines = declines
        self.settings = ["--set", "reward.grader=llm", "--set", "llm.model=judge",
                         "--set", f"llm.url=http://127.0.0.1:{self.server_port}/v1", "--set", "llm.max_attempts=2",
                         "--set", "llm.first_wait_s=0.01", "--set", "llm.longest_wait_s=0.05",
                         "--set", "reward.min_agreement=-1"]
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Server:
    """`learn2ask serve-reward` on a free port."""

    def __init__(self, labels, folder, settings, **options):
        self.process = start(["serve-reward", labels, "--port", 0, "--set", "patience_s=1", *settings], folder, **options)
        line = next((line for line in self.process.stdout if "http://127.0.0.1:" in line), None)
        if line is None:
            raise AssertionError(self.process.stderr.read())
        self.url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
        self.log = []
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def stop(self):
        """Ctrl-C; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.reader.join(60)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


def post(url, body, **headers):
    """Status, answer and headers, whatever the status."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, json.load(answer), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), error.headers


def turns_of(messages):
    """What one side says in several messages is one turn."""
    turns = []
    for message in messages:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1]["content"] += "\n" + message["content"]
        else:
            turns.append({key: message[key] for key in ("role", "content")})
    return turns


def requests_for(replies, end="<|im_end|>"):
    """The replies in the form of each path."""
    contexts, texts = [reply["context"] for reply in replies], [reply["text"] for reply in replies]
    prompts = [f"<|im_start|>user\nThe prompt of {context}<|im_end|>\n<|im_start|>assistant\n" for context in contexts]
    return {"/score": {"replies": replies},
            "/trl": {"samples": contexts, "completions": texts},
            "/openrlhf": {"query": [prompt + text + end for prompt, text in zip(prompts, texts)],
                          "prompts": prompts, "labels": contexts},
            "/verl": {"ground_truths": contexts, "solution_strs": texts}}


class RewardServerTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.labels = cls.inputs / "labels/dev.jsonl"
        sessions = [json.loads(line) for line in cls.labels.read_text().splitlines()[1:]]
        cls.turns = {f"{session['session_id']}/{sample['turn']}": (turns_of(session["messages"]), sample)
                     for session in sessions for sample in session["samples"]}
        cls.replies = [{"context": context, "text": text} for context, (messages, sample) in cls.turns.items()
                       for text in (messages[sample["turn"]]["content"], "Is it sunny out there?", "<stop />",
                                    " Rest. And since when? And why?\n", "\u00e9 <b>\\", "  ")]
        cls.rows = cls.grade(cls.replies, WORDS)
        cls.rewards = [row["reward"] for row in cls.rows]

    @classmethod
    def grade(cls, replies, settings):
        """What `learn2ask grade` gives them."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=cls.temporary.name))
        (folder / "replies.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies))
        finished = run(["grade", cls.labels, "--replies", "replies.jsonl", "--out", "graded.jsonl",
                        "--set", "max_failure_rate=1", *settings], folder)
        if finished.code != 0:
            raise AssertionError(finished.err)
        return [json.loads(line) for line in (folder / "graded.jsonl").read_text().splitlines()[1:]]

    def serve(self, *settings, **options):
        server = Server(self.labels, self.new_folder(), settings, **options)
        self.addCleanup(server.stop)
        return server

    def judge(self, declines):
        judge = Judge(declines)
        self.addCleanup(judge.server_close)
        self.addCleanup(judge.shutdown)
        return judge

    def reply_to(self, decision, text):
        context = next(context for context, (_, sample) in self.turns.items() if sample["decision"] == decision)
        return {"context": context, "text": text}

    def assert_lives(self, server):
        status, answer, _ = post(server.url + "/score", {"replies": self.replies})
        self.assertEqual((status, answer["rewards"]), (200, self.rewards))

    def test_rewards_are_those_of_grade(self):
        self.assertGreater(len(set(self.rewards)), 3)
        replies = self.replies + [reply | {"truncated": True} for reply in self.replies[:6]]
        for settings in (WORDS, []):
            rows = self.grade(replies, settings)
            status, answer, _ = post(self.serve(*settings).url + "/score", {"replies": replies})
            self.assertEqual(status, 200, answer)
            self.assertEqual(answer["rewards"], [row["reward"] for row in rows])
            for row, detail in zip(rows, answer["details"], strict=True):
                self.assertEqual({key: detail[key] for key in ("macro", "micro", "format", "malformed", "reason")},
                                 {key: row[key] for key in ("macro", "micro", "format", "malformed", "reason")})

    def test_any_grader_rewards(self):
        """Those that need the sessions, too; the generator's truth says what its own questions are worth."""
        sessions = ["--set", f"reward.sessions=[{self.inputs}/data/dev.jsonl]"]
        bank = ["--set", f"reward.bank={self.inputs}/data/train.jsonl"]  # a small one: few questions have a neighbour
        for settings, least in ((["--set", "reward.grader=truth", *sessions, "--set", "reward.domain=pharmacy"], 0.9),
                                (["--set", "reward.grader=labels", *sessions, *bank], 0.2)):
            with self.subTest(settings[1]):
                rows = self.grade(self.replies, settings)
                status, answer, _ = post(self.serve(*settings).url + "/score", {"replies": self.replies})
                self.assertEqual((status, answer.get("rewards")), (200, [row["reward"] for row in rows]))
                self.assertNotEqual(answer["rewards"], self.rewards)
                scored = {(reply["context"], reply["text"]): row["micro"] for reply, row in zip(self.replies, rows)}
                own = [scored[context, messages[sample["turn"]]["content"]]
                       for context, (messages, sample) in self.turns.items() if sample["decision"] == "continue"]
                own = [content for content in own if content is not None]  # labels: the bank lacks the complaint
                self.assertGreater(len(own), 10)
                self.assertGreater(sum(own) / len(own), least)
                sunny = [content for (context, text), content in scored.items() if text == "Is it sunny out there?"
                         and self.turns[context][1]["decision"] == "continue" and content is not None]
                self.assertLess(sum(sunny) / len(sunny), sum(own) / len(own))
        missing = run(["serve-reward", self.labels, "--set", "reward.grader=truth"], self.folder)
        self.assertEqual((missing.code, missing.error()), (1, "error: grader truth: needs --sessions (reward.sessions)"))
        others = ["--set", "reward.grader=truth", "--set", "reward.domain=pharmacy", "--set",
                  f"reward.sessions=[{self.inputs}/data/train.jsonl]"]
        for command in (["serve-reward", self.labels], ["train", "grpo", self.labels, "--out", "out"],
                        ["train", "grpo", self.inputs / "labels/train.jsonl", "--dev", self.labels, "--out", "out"]):
            refused = run([*command, *others], self.folder)
            self.assertEqual(refused.code, 1)
            self.assertRegex(refused.error(), r"\(reward\.sessions\): session '\S+' is not in these files")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_conversation_names_its_turn(self):
        url = self.serve(*WORDS).url + "/score"
        conversations = {context: [{key: message[key] for key in ("role", "content")}
                                   for message in messages[:sample["turn"]]]
                         for context, (messages, sample) in self.turns.items()}
        for reply, reward in zip(self.replies, self.rewards):
            messages = conversations[reply["context"]]
            status, answer, _ = post(url, {"replies": [{"messages": messages, "text": reply["text"]}]})
            if list(conversations.values()).count(messages) == 1:
                self.assertEqual((status, answer.get("rewards")), (200, [reward]), answer)
            else:
                self.assertEqual(status, 400)
        unknown = [*messages[:-1], {"role": "user", "content": "Nobody ever said this."}]
        status, answer, _ = post(url, {"replies": [{"messages": unknown, "text": "Why?"}]})
        self.assertEqual(status, 400, answer)

    def test_a_reply_with_a_nul_is_malformed(self):
        """A policy may say any token, and the others of its batch are worth their reward."""
        server = self.serve(*WORDS)
        replies = [self.reply_to("stop", "<stop />"), self.reply_to("continue", "Since when?\0")]
        for path, body in requests_for(replies).items():
            status, answer, _ = post(server.url + path, body)
            self.assertEqual((status, answer.get("scores" if path == "/verl" else "rewards")), (200, [4.0, 0.0]), path)

    def test_verl(self):
        client = example("verl_reward", self.serve(*WORDS).url)
        rewards = [client.compute_score(
            data_source="learn2ask", solution_str=reply["text"], ground_truth=reply["context"],
            extra_info={"num_turns": None, "rollout_reward_scores": {}}) for reply in self.replies]
        self.assertEqual(rewards, self.rewards)
        many = client.compute_scores(
            data_sources=["learn2ask"] * len(self.replies), solution_strs=[reply["text"] for reply in self.replies],
            ground_truths=[reply["context"] for reply in self.replies], extra_infos=[{}] * len(self.replies))
        self.assertEqual(many, self.rewards)

    def test_openrlhf(self):
        server = self.serve(*WORDS)
        for end in END_TOKENS:
            body = requests_for(self.replies, end)["/openrlhf"]
            status, answer, _ = post(server.url + "/openrlhf", body)
            self.assertEqual((status, answer.get("rewards")), (200, self.rewards), (end, answer))
            self.assertEqual(len(answer["scores"]), len(self.replies))
            self.assertTrue(all(0 <= score <= 1 for score in answer["scores"]))
            for value in answer["extra_logs"].values():
                self.assertEqual(len(value), len(self.replies))
        client = example("openrlhf_reward", server.url)
        for i in range(0, len(self.replies), 7):
            rewards = client.reward_func(body["query"][i:i + 1], body["prompts"][i:i + 1], body["labels"][i:i + 1])
            self.assertEqual(rewards["rewards"], self.rewards[i:i + 1])

    def test_openrlhf_by_a_tokenizer(self):
        """Its query is what the tokenizer makes of the prompt's and the reply's tokens."""
        import transformers

        rows, policy = self.exported(), self.policy()
        tokenizer = transformers.AutoTokenizer.from_pretrained(policy)
        body = {"query": [], "prompts": [], "labels": []}
        by_context = {row["sample"]: row["prompt"] for row in rows}
        kept = [i for i, reply in enumerate(self.replies) if reply["context"] in by_context]
        for reply in (self.replies[i] for i in kept):
            prompt = tokenizer.apply_chat_template(by_context[reply["context"]], tokenize=False,
                                                   add_generation_prompt=True)
            ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            said = tokenizer(reply["text"], add_special_tokens=False)["input_ids"]
            end = tokenizer.convert_tokens_to_ids("<|im_end|>")
            body["query"].append(tokenizer.decode([*ids, *said, end], skip_special_tokens=False))
            body["prompts"].append(prompt)
            body["labels"].append(reply["context"])
        status, answer, _ = post(self.serve(*WORDS).url + "/openrlhf", body)
        self.assertEqual((status, answer.get("rewards")), (200, [self.rewards[i] for i in kept]), answer)

    def test_no_reward_is_never_a_number(self):
        judge = self.judge(lambda question: "sunny" in question)
        server = self.serve(*judge.settings)
        declined = self.reply_to("continue", "Is it sunny out there?")
        replies = [self.reply_to("stop", "<stop />"), declined]
        requests = requests_for(replies)
        for path in ("/score", "/trl"):
            status, answer, _ = post(server.url + path, requests[path])
            self.assertEqual((status, answer.get("rewards")), (200, [4.0, None]), answer)
            if path == "/score":
                prompt = (EXAMPLES.parent / "prompts/grading/question.en.txt").read_bytes()
                self.assertEqual(list(answer["grading_prompts"].values()), [hashlib.sha256(prompt).hexdigest()])
        for path in ("/openrlhf", "/verl"):
            status, answer, headers = post(server.url + path, requests[path])
            self.assertEqual((status, list(answer)), (503, ["error"]), path)
            self.assertGreaterEqual(int(headers["Retry-After"]), 1)
        status, answer, _ = post(server.url + "/verl", requests_for(replies[:1])["/verl"])
        self.assertEqual((status, answer["scores"]), (200, [4.0]))

        client = example("verl_reward", server.url, patient=False)
        with self.assertRaisesRegex(RuntimeError, "503.*could not be scored"):
            client.compute_score("learn2ask", declined["text"], declined["context"])
        client, asked = example("openrlhf_reward", server.url, patient=False), requests_for([declined])["/openrlhf"]
        with self.assertRaisesRegex(RuntimeError, "503.*could not be scored"):
            client.reward_func(asked["query"], asked["prompts"], asked["labels"])
        self.assertEqual(example("trl_reward", server.url).learn2ask_reward(
            prompts=[[]] * 2, completions=[[{"role": "assistant", "content": reply["text"]}] for reply in replies],
            completion_ids=[[1]] * 2, sample=[reply["context"] for reply in replies], trainer_state=None), [4.0, None])

    def test_a_client_waits_for_the_grader(self):
        judge = self.judge(lambda question: True)
        server = self.serve(*judge.settings)
        reply = self.reply_to("continue", "Is it sunny out there?")
        well = threading.Timer(1.5, lambda: setattr(judge, "declines", lambda question: False))
        well.start()
        self.addCleanup(well.join)
        client = example("verl_reward", server.url)
        self.assertEqual(client.compute_score("learn2ask", reply["text"], reply["context"]), 4.0)

    def test_an_unknown_turn_is_named(self):
        server = self.serve(*WORDS)
        for path, body in requests_for([*self.replies[:2], {"context": "nobody/7", "text": "Why?"}]).items():
            status, answer, _ = post(server.url + path, body)
            self.assertEqual((status, list(answer)), (400, ["error"]), path)
            self.assertIn("nobody/7", answer["error"])
        with self.assertRaisesRegex(RuntimeError, "nobody/7"):
            example("verl_reward", server.url).compute_score("learn2ask", "Why?", "nobody/7")

    def test_many_clients_get_what_one_gets(self):
        server = self.serve(*WORDS)

        def client(number):
            order = random.Random(number).sample(range(len(self.replies)), 24)
            got = {}
            for at in range(0, len(order), 3):
                path = PATHS[(number + at) % len(PATHS)]
                body = requests_for([self.replies[i] for i in order[at:at + 3]])[path]
                status, answer, _ = post(server.url + path, body)
                self.assertEqual(status, 200, answer)
                got |= zip(order[at:at + 3], answer["scores" if path == "/verl" else "rewards"], strict=True)
            return got

        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            for got in pool.map(client, range(32)):
                self.assertEqual(got, {i: self.rewards[i] for i in got})

    def test_a_body_of_100_mb_is_refused(self):
        server = self.serve(*WORDS)
        host = urllib.parse.urlsplit(server.url).netloc
        connection = http.client.HTTPConnection(host, timeout=60)  # refused by its length, before it is sent
        connection.putrequest("POST", "/score")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "100000000")
        connection.endheaders()
        with connection.getresponse() as answer:
            self.assertEqual(answer.status, 413)
            self.assertIn("error", json.load(answer))
        connection.close()
        for headers in ({}, {"Transfer-Encoding": "chunked"}):  # sent all the same
            try:
                status = post(server.url + "/score", b" " * 100_000_000, **headers)[0]
                self.assertIn(status, (400, 411, 413))
            except (urllib.error.URLError, ConnectionError):
                pass  # hung up on
        self.assert_lives(server)

    def test_rubbish_is_refused(self):
        server = self.serve(*WORDS)
        context = self.replies[0]["context"]
        good = {"context": context, "text": "Why?"}
        message = {"role": "user", "content": "I cough."}
        asked = requests_for(self.replies[:2])["/openrlhf"]
        rubbish = [(path, body) for path in PATHS for body in (
            b"", b"{", b"null", b"[]", b'"x"', b"{}", b"\xff\xfe{}", b'{"a":1}x', b"[" * 1_000_000,
            b'{"a":' * 100_000 + b"1" + b"}" * 100_000)]
        rubbish += [("/score", {"replies": value}) for value in (
            None, 3, "x", {}, [3], [None], [{}], [[good]], [good | {"context": 3}], [good | {"text": None}],
            [good | {"truncated": "no"}], [{"context": context}], [{"text": "Why?"}],
            [{"messages": [], "text": "Why?"}],
            [{"messages": message, "text": "Why?"}], [{"messages": [3], "text": "Why?"}],
            [{"messages": [{"role": "user"}], "text": "Why?"}],
            [{"messages": [message | {"role": 1}], "text": "Why?"}])]
        rubbish += [("/trl", {"samples": [context], "completions": value}) for value in (
            None, "Why?", [], ["Why?", "How?"], [3], [None])]
        rubbish += [("/trl", {"samples": value, "completions": ["Why?"]}) for value in (context, [3], [], None)]
        rubbish += [("/verl", {"ground_truths": [context], "solution_strs": value}) for value in (
            None, "Why?", [], ["Why?", "How?"], [3], [None])]
        rubbish += [("/openrlhf", asked | changed) for changed in (
            {"query": None}, {"query": asked["query"][:1]}, {"query": [1, 2]}, {"prompts": asked["prompts"][:1]},
            {"prompts": [1, 2]}, {"prompts": ["another", "prompt"]}, {"prompts": None}, {"labels": None},
            {"labels": [3, 4]}, {"labels": asked["labels"] * 2})]
        for path, body in rubbish:
            status, answer, _ = post(server.url + path, body)
            self.assertEqual((status, list(answer)), (400, ["error"]), (path, str(body)[:200]))
            self.assertIsInstance(answer["error"], str)
            self.assertLess(len(answer["error"]), 2000)
        self.assertEqual(post(server.url + "/nothing", {"replies": [good]})[0], 404)
        with self.assertRaisesRegex(urllib.error.HTTPError, "40[45]"):
            urllib.request.urlopen(server.url + "/score", timeout=SECONDS).close()
        host, port = urllib.parse.urlsplit(server.url).netloc.split(":")
        for said in (b"", b"\0" * 1000, b"HELO\r\n\r\n", b"POST /score HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                     b"POST /score HTTP/1.1\r\nContent-Length: 50\r\n\r\n{", b"A" * 1_000_000):
            with socket.create_connection((host, int(port)), timeout=60) as connection:
                try:
                    connection.sendall(said)
                except ConnectionError:
                    pass  # hung up on
        self.assert_lives(server)

    def test_asks_for_its_token(self):
        token = "t0ken-of-the-test"
        server = self.serve(*WORDS, env=os.environ | {"LEARN2ASK_TOKEN": token})
        for path, body in requests_for(self.replies[:2]).items():
            for headers in ({}, {"Authorization": "Bearer another"}, {"Authorization": f"Basic {token}"},
                            {"Authorization": f"Bearer {token}x"}, {"Authorization": "Bearer "}):
                status, answer, _ = post(server.url + path, body, **headers)
                self.assertEqual((status, list(answer)), (401, ["error"]), (path, headers))
            self.assertEqual(post(server.url + path, body, Authorization=f"Bearer {token}")[0], 200, path)
        reply, reward = self.replies[0], self.rewards[0]
        client = example("verl_reward", server.url, token)
        self.assertEqual(client.compute_score("learn2ask", reply["text"], reply["context"]), reward)
        with self.assertRaisesRegex(RuntimeError, "401"):
            example("verl_reward", server.url).compute_score("learn2ask", reply["text"], reply["context"])
        self.assertEqual(server.stop(), 0)
        self.assertNotIn(token, "".join(server.log))

    def test_ctrl_c_ends_it(self):
        self.assertEqual(self.serve(*WORDS).stop(), 0)
        server = self.serve(*WORDS)
        idle = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc, timeout=60)
        idle.request("POST", "/score", json.dumps({"replies": self.replies[:1]}))
        idle.getresponse().read()  # and the connection stays open
        self.assertEqual(server.stop(), 0)
        idle.close()

    def export_dataset(self, to, name):
        (self.folder / name).unlink(missing_ok=True)
        finished = run(["export-dataset", self.labels, "--to", to, "--out", name], self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        return self.folder / name

    def exported(self, to="trl"):
        """The rows of `export-dataset` to JSONL."""
        return [json.loads(line) for line in self.export_dataset(to, "prompts.jsonl").read_text().splitlines()]

    def policy(self):
        """A folder with the tiny policy, as transformers reads it."""
        finished = run(["export", self.inputs / "tiny.gguf", "--format", "folder", "--type", "f32", "--out", "policy"],
                       self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        return self.folder / "policy"

    def test_the_dataset_has_the_turns(self):
        rows = self.exported()
        self.assertEqual([row["sample"] for row in rows], list(self.turns))
        for row in rows:
            messages, sample = self.turns[row["sample"]]
            spoken = [{key: message[key] for key in ("role", "content")} for message in messages[:sample["turn"]]]
            self.assertEqual([message for message in row["prompt"] if message["role"] != "system"], spoken)
            self.assertEqual(row["prompt"][-1]["role"], "user")

    def test_each_trainer_has_the_same_dataset_in_its_form(self):
        import pyarrow.parquet

        rows = self.exported()
        self.assertEqual(self.exported("openrlhf"),
                         [{"prompt": row["prompt"], "label": row["sample"]} for row in rows])
        table = pyarrow.parquet.read_table(self.export_dataset("verl", "prompts.parquet")).to_pylist()
        self.assertEqual([row["prompt"] for row in table], [row["prompt"] for row in rows])
        self.assertEqual([row["reward_model"]["ground_truth"] for row in table], [row["sample"] for row in rows])
        self.assertEqual([row["extra_info"] for row in table],
                         [{"split": "train", "index": i} for i in range(len(rows))])
        self.assertEqual({(row["data_source"], row["ability"], row["reward_model"]["style"]) for row in table},
                         {("learn2ask", "ask", "rule")})

    def test_trl_trains(self):
        import datasets
        import transformers
        from trl import GRPOConfig, GRPOTrainer

        judge = self.judge(lambda question: len(question) % 2)  # every second question gets no verdict
        client = example("trl_reward", self.serve(*judge.settings).url)
        policy = self.policy()
        tokenizer = transformers.AutoTokenizer.from_pretrained(policy, eos_token="<|im_end|>")
        tokenizer.pad_token = tokenizer.eos_token
        rewarded, advantages = [], []

        def learn2ask_reward(completions, sample, **columns):
            rewards = client.learn2ask_reward(completions=completions, sample=sample, **columns)
            texts = [reply[0]["content"] for reply in completions]
            rewarded.extend(zip(sample, texts, rewards, strict=True))
            return rewards

        class Trainer(GRPOTrainer):
            def _generate_and_score_completions(self, inputs):
                scored = super()._generate_and_score_completions(inputs)
                advantages.extend(scored["advantages"].tolist())
                return scored

        group = 8
        trainer = Trainer(
            str(policy), reward_funcs=learn2ask_reward, processing_class=tokenizer,
            train_dataset=datasets.Dataset.from_list(self.exported()),
            args=GRPOConfig(output_dir=str(self.folder / "trl"), max_steps=3, per_device_train_batch_size=2 * group,
                            num_generations=group, max_completion_length=96, learning_rate=1e-3, seed=1,
                            use_cpu=True, bf16=False, gradient_checkpointing=False, logging_steps=1,
                            save_strategy="no", report_to=[], disable_tqdm=True))
        before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
        trainer.train()
        self.assertEqual(trainer.state.global_step, 3)
        self.assertTrue(any((value != before[name]).any() for name, value in trainer.model.named_parameters()))

        rewards = [reward for _, _, reward in rewarded]
        readable = [(context, text, reward) for context, text, reward in rewarded if "\0" not in text]  # by `grade`
        rows = self.grade([{"context": context, "text": text} for context, text, _ in readable], judge.settings)
        self.assertEqual([reward for _, _, reward in readable], [row["reward"] for row in rows])
        self.assertEqual(len(advantages), 3 * 2 * group)
        mixed = 0
        for at in range(0, len(rewards), group):
            pairs = list(zip(rewards[at:at + group], advantages[at:at + group], strict=True))
            self.assertTrue(all(advantage == 0 for reward, advantage in pairs if reward is None))
            scored = [advantage for reward, advantage in pairs if reward is not None]
            self.assertAlmostEqual(sum(scored), 0, places=3)  # their mean is theirs alone
            mixed += len(scored) < group and any(scored)
        self.assertGreater(mixed, 0, "no group had replies with and without a reward: another seed")

    def test_trl_knows_cut_replies_by_their_last_token(self):
        client = example("trl_reward", self.serve(*WORDS).url)
        same = {"completions": [[{"role": "assistant", "content": "<stop />"}]] * 2, "completion_ids": [[5, 7], [5, 8]],
                "sample": [self.reply_to("stop", "")["context"]] * 2}
        self.assertEqual(client.learn2ask_reward(**same), [4.0, 4.0])
        client.END_IDS = {7}
        self.assertEqual(client.learn2ask_reward(**same), [4.0, 0.0])
