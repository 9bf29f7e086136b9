"""A scripted language model, and items for it and for scripted people to judge."""

import collections
import http.client
import http.server
import json
import os
import pathlib
import re
import threading
import time
import unittest.mock

from program import SECONDS, ProgramTest, run

SHIPPED = pathlib.Path(__file__).parents[2] / "prompts"
# The scripted judge needs to be told both, to say what people say.
PHRASES = ["Other subjects are worth nothing.", "The very question is worth all."]
FIND_ALL = "Leave no answer out."
TASKS = {"You judge": "grade", "You read": "extract", "You improve": "critique", "You rewrite": "rewrite"}


class Model(http.server.ThreadingHTTPServer):
    """A chat endpoint whose `answers` are a function of each task: (messages, seed) -> text or object."""

    daemon_threads, request_queue_size, delay_s = True, 64, 0

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

        def log_message(self, *_):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not self.path.startswith("/v1/"):
                return self.send_error(404)
            request = json.loads(body)
            task = next(task for begin, task in TASKS.items() if request["messages"][0]["content"].startswith(begin))
            with self.server.lock:
                self.server.asked[f"{self.server.url}\n{request['seed']}\n{body.decode()}"] += 1
                self.server.requests.append((task, request["messages"]))
            time.sleep(self.server.delay_s)
            said = self.server.answers[task](request["messages"], request["seed"])
            message = {"role": "assistant", "content": said if isinstance(said, str) else json.dumps(said)}
            answer = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def __init__(self, test, **answers):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.answers = {"critique": lambda *_: {"critique": "It says too little."}, "rewrite": write} | answers
        self.url, self.lock = f"http://127.0.0.1:{self.server_port}/v1", threading.Lock()
        self.asked, self.requests = collections.Counter(), []
        self.connections, self.left = 0, threading.Condition(self.lock)
        self.settings = ["--set", f"llm.url={self.url}", "--set", "llm.model=scripted", "--set", "llm.max_attempts=2"]
        threading.Thread(target=self.serve_forever, daemon=True).start()
        test.addCleanup(self.server_close)
        test.addCleanup(self.shutdown)

    def process_request(self, request, client_address):
        with self.lock:
            self.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        super().shutdown_request(request)
        with self.left:
            self.connections -= 1
            self.left.notify_all()

    def wait_until_left(self):
        """Until nobody is connected: what a killed program had sent has arrived, too."""
        last = http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=SECONDS)
        last.request("POST", "/")  # taken after all that came before it
        last.getresponse()
        last.close()
        with self.left:
            if not self.left.wait_for(lambda: self.connections == 0, SECONDS):
                raise TimeoutError(f"{self.connections} connections stay open")

    def handle_error(self, *_):
        pass  # the program was killed


def told(prompt, phrase):
    return prompt.replace("\n[user]\n", f" {phrase}\n[user]\n", 1)


def given_prompt(messages):
    return re.search(r"The instructions:\n\n(.*)\n\nWhat is wrong with them:", messages[1]["content"], re.S)[1]


def write(messages, seed):
    """Of four candidates: one without a place, one at first without, one that says too much, and one that mends nothing."""
    prompt = given_prompt(messages)
    if seed % 4 == 0 or (seed % 4 == 1 and len(messages) == 2):
        return {"prompt": prompt.replace("{open}", "what is open")}
    phrase = {1: PHRASES[0], 2: PHRASES[1], 3: f"Variant {seed}."}[seed % 4]
    needless = " Mind the commas." if seed % 4 == 2 else ""
    return {"prompt": prompt if phrase in prompt else told(prompt, phrase + needless)}


def words(text):
    return {word for word in re.findall("[a-z]+", text.lower()) if len(word) > 4}


def fair(question, opened):
    """What people say: 1 for an open question itself, 0.5 for one with a long word in common."""
    if question in opened:
        return 1
    return 0.5 if any(words(question) & words(open) for open in opened) else 0


def judged_case(messages):
    lines = messages[1]["content"].splitlines()
    question = json.loads(next(line for line in lines if line.startswith('"')))
    return question, [json.loads(line)["question"] for line in lines if line.startswith('{"question"')]


def verdict(content):
    return {"reason": "as told", "content": content, "format": 1}


def judge(messages, _):
    grade = fair(*judged_case(messages))
    if (grade == 0 and PHRASES[0] not in messages[0]["content"]) or (
            grade == 1 and PHRASES[1] not in messages[0]["content"]):
        grade = 0.5
    return verdict(grade)


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


class CalibrationTest(ProgramTest):
    MANY = 20

    @classmethod
    def setUpClass(cls):
        one_thread = unittest.mock.patch.dict(os.environ, OMP_NUM_THREADS="1")
        one_thread.start()
        cls.addClassCleanup(one_thread.stop)
        super().setUpClass()
        cls.labels = cls.inputs / "labels/train.jsonl"
        cls.samples = {f"{row['session_id']}/{sample['turn']}": (row, sample)
                       for row in rows_of(cls.labels) for sample in row["samples"]}
        cls.items = cls.inputs / "items.jsonl"
        finished = run(["calibrate", "sample", cls.labels, "--out", cls.items], cls.inputs)
        if finished.code != 0:
            raise AssertionError(finished.err)

    def calibrate(self, *arguments, code=0, folder=None):
        finished = run(["calibrate", *arguments], folder or self.folder)
        self.assertEqual(finished.code, code, finished.err)
        return finished

    def sample(self, name, *more):
        (self.folder / name).unlink(missing_ok=True)
        graders = [] if "--what" in more and "grade" not in more else ["--grader", "words"]
        self.calibrate("sample", self.labels, "--out", name, *graders, *more)
        return rows_of(self.folder / name)

    def write_rows(self, name, rows):
        path = self.folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def fair_labels(self, items=None, by="anna"):
        """The file of labels that somebody fair made."""
        rows = [{"item": item["id"], "grade": fair(item["reply"], [open["question"] for open in item["open"]])}
                for item in rows_of(items or self.items)]
        self.calibrate("import", self.write_rows("fair.jsonl", rows), "--items", items or self.items, "--by", by,
                       "--labels", "gold.jsonl")
        return self.folder / "gold.jsonl"

    def search(self, model, gold, *more, what="grade", items=None, out="out"):
        given = ["--items", items or self.items, "--labels", gold] if what != "policy" else []
        return ["run", "--what", what, *given, "--out", out, "--set", "search.candidates=4", *model.settings, *more]

    def result(self, folder=None):
        return json.loads(((folder or self.folder) / "out/search.json").read_text())
