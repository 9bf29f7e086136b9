"""Runs the program as its users do, and the small files that its commands need."""

import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import unittest

import tiny_policy

PROGRAM = os.environ.get("LEARN2ASK_PROGRAM") or sys.exit("LEARN2ASK_PROGRAM: the program to test")
SECONDS = 300  # after which a command hangs
INTERRUPTED = "error: interrupted: run the same command again to go on"


def start(arguments, folder, file_bytes=None, **options):
    """Starts the program in `folder`; `file_bytes` is the most that it may write to a file."""

    def prepare():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored by whatever a shell starts with &
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    return subprocess.Popen(
        [PROGRAM, *map(str, arguments)], cwd=folder, text=True, preexec_fn=prepare,
        stdin=options.pop("stdin", subprocess.DEVNULL), stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE, **options)


class Finished:
    """Exit code, standard output and standard error of a command that ended by itself."""

    def __init__(self, process, typed=None):
        self.out, self.err = process.communicate(typed, timeout=SECONDS)
        self.code = process.returncode

    def error(self):
        """The last line of the standard error: what the user is told."""
        return self.err.rstrip("\n").rpartition("\n")[2]


def run(arguments, folder, typed=None, **options):
    if typed is not None:
        options["stdin"] = subprocess.PIPE
    return Finished(start(arguments, folder, **options), typed)


def without_times(line):
    """A line of a journal less what differs from run to run by nature."""
    row = json.loads(line)
    return {key: value for key, value in row.items() if key not in ("time", "seconds")}


def is_older_checkpoint(path):
    """Which earlier checkpoints are still there depends on where a run was stopped."""
    if path.parent.parent.name != "checkpoints":
        return False
    steps = [int(checkpoint.name.removeprefix("step-")) for checkpoint in path.parent.parent.iterdir()]
    return path.parent.name != f"step-{max(steps)}"


def contents(folder):
    """What a command made, comparable with another run's: {relative path: contents}."""
    made = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if is_older_checkpoint(path):
            continue
        if path.name in ("metrics.jsonl", "steps.jsonl", "state.json"):
            made[name] = [without_times(line) for line in path.read_text().splitlines()]
        elif path.name == "SHA256SUMS":
            made[name] = [line for line in path.read_text().splitlines() if "state.json" not in line]
        elif path.is_file() and path.name != "report.html":  # the page says when it was made
            made[name] = path.read_bytes()
    return made


class ProgramTest(unittest.TestCase):
    """A folder with a few of everything: `self.inputs`; and one for the test: `self.folder`."""

    MANY = 500  # sessions of many.jsonl, for commands that would be done too soon

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="learn2ask-")
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.inputs = pathlib.Path(cls.temporary.name, "inputs")
        cls.inputs.mkdir()
        tiny_policy.write_tiny_policy(cls.inputs / "tiny.gguf")
        for line in (f"generate pharmacy --sessions {cls.MANY} --seed 2 --out many.jsonl",
                     "generate pharmacy --sessions 60 --out logs.jsonl",
                     "import logs.jsonl --out data",
                     "label data/train.jsonl --out labels/train.jsonl",
                     "label data/dev.jsonl --out labels/dev.jsonl"):
            finished = run(line.split(), cls.inputs)
            if finished.code != 0:
                raise AssertionError(f"{line}: {finished.err}")

    def setUp(self):
        self.folder = self.new_folder()

    def new_folder(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.temporary.name))

    def stop_until_done(self, command, stop_signal, **options):
        """Runs `command` again and again, letting it live a little longer each time. Returns how
        often it was stopped, and what it left."""
        folder, seconds, stopped = self.new_folder(), 0.05, 0
        while True:
            process = start(command, folder, **options)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(stop_signal)
            finished = Finished(process)
            if finished.code == 0:
                return stopped, contents(folder)
            if stop_signal == signal.SIGINT and finished.code == 1:
                self.assertEqual(finished.error(), INTERRUPTED)
            else:  # Ctrl-C before the program could install its handler ends it as kill does
                self.assertEqual(finished.code, -stop_signal, finished.err)
            stopped += 1
            seconds *= 1.7

    def assert_same(self, made, expected):
        """Two `contents`; names the file that differs, not its bytes."""
        self.assertEqual(made.keys(), expected.keys())
        self.assertEqual([path for path in made if made[path] != expected[path]], [])

    def commands(self):
        """Each command that writes, on inputs of a second or two; its output is in ./out."""
        data, labels = self.inputs / "data", self.inputs / "labels"
        policy = ["--set", f"policy.model={self.inputs}/tiny.gguf", "--set", "policy.threads=1"]
        training = [labels / "train.jsonl", "--dev", labels / "dev.jsonl", "--out", "out", *policy]
        return {
            "generate": ["generate", "pharmacy", "--sessions", 20000, "--out", "out"],
            "import": ["import", self.inputs / "many.jsonl", "--out", "out"],
            "label": ["label", self.inputs / "many.jsonl", "--out", "out"],
            "grade": ["grade", labels / "dev.jsonl", "--replies", self.replies(), "--out", "out",
                      "--set", "reward.grader=words"],
            "calibrate report": ["calibrate", "report", *self.gold(), "--grader", "match", "words", "--out", "out"],
            "calibrate overrides": ["calibrate", "overrides", *self.gold("stop"), "--out", "out"],
            "train sft": ["train", "sft", *training, "--set", "sft.epochs=2",
                          "--set", "sft.sessions_per_step=4", "--set", "sft.checkpoint_every=3",
                          "--set", "sft.evaluate_every=4"],
            "train sft of all weights": ["train", "sft", *training, "--set", "finetuning=full",
                                         "--set", "sft.epochs=1", "--set", "sft.checkpoint_every=3",
                                         "--set", "sft.evaluate_every=4"],
            "train grpo": ["train", "grpo", *training, "--set", "grpo.steps=8", "--set", "reward.look_every=1",
                           "--set", "grpo.sessions_per_step=1", "--set", "grpo.group_size=4",
                           "--set", "grpo.max_reply_tokens=16", "--set", "grpo.checkpoint_every=3",
                           "--set", "grpo.evaluate_every=4"],
            "train dpo": ["train", "dpo", *training, "--set", "dpo.steps=8",
                          "--set", "dpo.sessions_per_step=1", "--set", "dpo.group_size=4",
                          "--set", "dpo.pairs=expert", "--set", "dpo.max_reply_tokens=24",
                          "--set", "dpo.optimizer.average_decay=0.9",
                          "--set", "dpo.checkpoint_every=3", "--set", "dpo.evaluate_every=4"],
            "eval": ["eval", labels / "dev.jsonl", "--split", "dev", "--out", "out",
                     "--grader", "match", "--grader", "truth", "--domain", "pharmacy",
                     "--sessions", data / "dev.jsonl", *policy],
            "demo": ["demo", "--recipe", self.recipe(policy), "--out", "out"],
        }

    def replies(self):
        """The same reply, many times, in each labelled context."""
        rows = [json.loads(line) for line in (self.inputs / "labels/dev.jsonl").read_text().splitlines()[1:]]
        lines = [json.dumps({"context": f"{row['session_id']}/{sample['turn']}", "text": "How long has this been so?"})
                 for row in rows for sample in row["samples"] if sample["decision"]]
        path = self.inputs / "replies.jsonl"
        path.write_text("\n".join(lines * 300) + "\n")
        return path

    def gold(self, what="grade"):
        """Items, and what somebody said of each: ITEMS --labels GOLD."""
        items, labels = self.inputs / f"{what}-items.jsonl", self.inputs / f"{what}-gold.jsonl"
        items.unlink(missing_ok=True)
        finished = run(["calibrate", "sample", self.inputs / "labels/train.jsonl", "--what", what, "--out", items,
                        "--set", "count=40"], self.inputs)
        self.assertEqual(finished.code, 0, finished.err)
        said = {"grade": {"grade": 0.5}, "stop": {"decision": "stop"}}[what]
        rows = [json.loads(line) for line in items.read_text().splitlines()[1:]]
        labels.write_text("".join(json.dumps({"item": row["id"], "by": "anna"} | said) + "\n" for row in rows))
        return [items, "--labels", labels]

    def recipe(self, policy):
        """The demo's steps, made small."""
        settings = " ".join(policy)
        path = self.inputs / "small.yaml"
        path.write_text(f"""steps:
  - generate pharmacy --sessions 40 --seed ${{seed}} --out ${{out}}/logs.jsonl
  - import ${{out}}/logs.jsonl --out ${{out}}/data
  - label ${{out}}/data/train.jsonl --out ${{out}}/labels/train.jsonl
  - label ${{out}}/data/test.jsonl --out ${{out}}/labels/test.jsonl
  - train sft ${{out}}/labels/train.jsonl --out ${{out}}/sft {settings} --set sft.epochs=1
  - train grpo ${{out}}/labels/train.jsonl --adapter ${{out}}/sft/adapter --out ${{out}}/grpo
      {settings} --set grpo.steps=2 --set grpo.group_size=2 --set grpo.max_reply_tokens=16
  - eval ${{out}}/labels/test.jsonl --split test --grader words --policy base
      --policy GRPO=${{out}}/grpo --out ${{out}}/eval {settings}
""")
        return path
