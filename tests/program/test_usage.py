"""Exit codes, help, and the messages of a command that was typed wrongly."""

import json

from program import ProgramTest, contents, run
from tiny_policy import write_tiny_policy

COMMANDS = ("generate", "import", "label", "inspect", "grade", "train sft", "train grpo", "train dpo", "eval", "chat",
            "calibrate sample", "calibrate ui", "calibrate export", "calibrate import", "calibrate overrides",
            "calibrate report", "calibrate run", "export", "export-dataset", "serve-reward", "model", "model info",
            "model check", "model tokenize", "model template", "model logits", "model generate", "model plan", "demo")


class UsageTest(ProgramTest):
    def test_every_command_has_help(self):
        for command in COMMANDS:
            finished = run([*command.split(), "--help"], self.folder)
            self.assertEqual((finished.code, finished.err), (0, ""), command)
            self.assertIn("Usage: learn2ask " + command, finished.out)

    def test_wrong_usage_is_exit_code_2(self):
        for line in ("", "trian", "train", "label", "label a.jsonl", "eval a.jsonl --out out",
                     "generate pharmacy --sessions none --out out", "import a --no-such-option",
                     "model plan a.gguf --type q8_0"):
            finished = run(line.split(), self.folder)
            self.assertEqual((finished.code, finished.out), (2, ""), line)
            self.assertIn("--help", finished.err, line)

    def test_bad_input_is_exit_code_1_and_one_line(self):
        labels = self.inputs / "labels" / "train.jsonl"
        cut = self.inputs / "cut.gguf"
        write_tiny_policy(cut, rows_missing=2)
        tuples = self.inputs / "tuples"
        tuples.mkdir(exist_ok=True)
        (tuples / "config.yaml").write_text("policy:\n  reply_format: tuple\n", encoding="utf-8")
        nothing = self.inputs / "nothing.jsonl"
        with open(labels, encoding="utf-8") as file:
            nothing.write_text(file.readline(), encoding="utf-8")
        for line, message in (
            ("label - --out out", "read: -: No such file or directory"),
            ("inspect none.jsonl", "none.jsonl: no such file"),
            (f"train sft {labels} --out out --set sft.epoch=3",
             "--set: unknown key 'sft.epoch': did you mean 'sft.epochs'?"),
            (f"train sft {labels} --out out --set sft.epochs=-3",
             "--set: 'sft.epochs': expected a whole number in [1, 1000], got '-3'"),
            (f"train grpo {labels} --out out --set grpo.group_size=1",
             "--set: 'grpo.group_size': expected a whole number in [2, 256], got '1'"),
            (f"eval {labels} --split train --policy base --policy base --out out",
             "--policy: 'base': another policy or a baseline has this name: give another one"),
            (f"eval {labels} --split train --policy A=none --out out",
             "read: none/adapter_config.json: No such file or directory"),
            (f"eval {labels} --split train --history none --out out", "none: no such file"),
            (f"eval {labels} --split train --train-labels none --out out", "none: no such file"),
            (f"eval {labels} --split train --grader truth --out out",
             "grader truth: needs --sessions (reward.sessions)"),
            (f"eval {labels} --split train --thresholds none --out out",
             "'none': neither shipped in prompts/thresholds/ (flodial, pharmacy) nor the path of a"
             " .yaml file"),
            (f"train grpo {labels} --out out --set reward.thresholds=none.yaml",
             "read: none.yaml: No such file or directory"),
            (f"train grpo {labels} --out out --set grpo.credit=parts --set reward.fusion=sum",
             "train grpo: reward.fusion: advantage and credit: parts take the reward's parts each by itself, whatever"
             " they are fused by (leave it at product)"),
            (f"train grpo {labels} --out out --set reward.compat=true --set policy.reply_format=tuple",
             "compat: not with replies as a tuple, in which it finds no <stop /> (leave one of the two out)"),
            (f"train grpo {labels} --out out --set reward.fusion=micro-only --set policy.reply_format=tuple",
             "policy.reply_format: tuple: the prompt for reward.fusion micro-only asks for plain replies (set"
             " policy.prompt to one of your own, or leave the format at plain)"),
            (f"eval {labels} --split train --out out --set compat=true --set policy.reply_format=tuple",
             "compat: not with replies as a tuple, in which it finds no <stop /> (leave one of the two out)"),
            (f"eval {labels} --split train --out out --policy A={tuples}",
             "eval: --policy: A: was trained to reply as tuple (set policy.reply_format=tuple)"),
            (f"train sft {labels} --dev {nothing} --out out",
             f"train: --dev: {nothing}: no session in it (give others, or leave it out)"),
            (f"train grpo {labels} --out out --set reward.grader=mach",
             "--set: 'reward.grader': expected one of match, words, llm, labels, truth, got 'mach'"),
            (f"train sft {labels} --out out --set policy.model={cut}",
             f"tokenizer: {cut}: 259 tokens where the embedding has 257 rows"),
            ("demo --recipe none.yaml", "read: none.yaml: No such file or directory"),
            (f"calibrate sample {labels} --what stop --replies none --out out",
             "calibrate sample: --replies: not with --what stop"),
            (f"calibrate sample {labels} --other-labels none --out out",
             "calibrate sample: --other-labels: not with --what grade"),
            (f"calibrate sample {labels} --repeats 3 --out out",
             "calibrate sample: --repeats: is how often llm is asked, and no --grader is llm"),
            ("calibrate report none --labels none --grader match --repeats 3 --out out",
             "calibrate report: --repeats: is how often llm is asked, and no --grader is llm"),
            ("calibrate run --what match --items none --out out", "calibrate run: --items: not with --what match"),
            ("calibrate run --sessions none --out out", "calibrate run: --sessions: not with --what grade"),
            ("calibrate run --what policy --train none --out out", "calibrate run: --train: not with --what policy"),
            (f"export-dataset {labels} --to trl --split dev --out out", "export-dataset: --split: not with --to trl"),
            (f"model plan {cut} --finetuning full --rank 4", "model plan: --rank: not with --finetuning full"),
            ("inspect " + "x" * 300, f"file: {'x' * 300}: File name too long"),
            (f"label {labels} --out .", "create: .: is there and is no ordinary file (give the name of a file)"),
        ):
            with self.subTest(line):
                finished = run(line.split(), self.folder)
                self.assertEqual((finished.code, finished.err), (1, f"error: {message}\n"))
                self.assertFalse((self.folder / "out").exists())

    def test_a_slip_in_the_last_step_of_a_recipe_shows_before_the_first(self):
        recipe = self.folder / "recipe.yaml"
        for step, message in (
            ("evla ${out}/x", "command: evla out/x: "),
            ("eval out/x --split test", "command: eval out/x --split test: --out is required"),
            ("eval out/x --split test --out out/eval --set evl.samples=2", "--set: unknown key 'evl.samples'"),
            ("train grpo out/x --out out/grpo --set grpo.steps=some",
             "--set: 'grpo.steps': expected a whole number in [1, 1000000], got 'some'"),
        ):
            with self.subTest(step):
                recipe.write_text("steps:\n  - generate pharmacy --sessions 9 --out ${out}/logs.jsonl\n  - " + step + "\n")
                finished = run(["demo", "--recipe", recipe, "--out", "out"], self.folder)
                self.assertEqual((finished.code, finished.out), (1, ""))
                self.assertTrue(finished.error().startswith(f"error: demo: step 2: {message}"), finished.err)
                self.assertFalse((self.folder / "out").exists())

    def test_an_adapter_brings_its_own_rank(self):
        labels = self.inputs / "labels" / "train.jsonl"
        settings = ["--set", f"policy.model={self.inputs}/tiny.gguf", "--set", "policy.threads=1"]
        first = run(["train", "sft", labels, "--out", "first", *settings, "--set", "sft.epochs=1",
                     "--set", "lora.rank=4", "--set", "lora.alpha=6"], self.folder)
        self.assertEqual(first.code, 0, first.err)
        command = ["train", "sft", labels, "--adapter", "first/adapter", *settings, "--set", "sft.epochs=1"]
        refused = run([*command, "--out", "out", "--set", "lora.rank=8"], self.folder)
        self.assertEqual(refused.error(), "error: train: --adapter: first/adapter: has rank 4 and alpha 6, which the "
                         "settings lora.rank 8 and lora.alpha 32 cannot change (leave them out)")
        self.assertFalse((self.folder / "out").exists())
        again = run([*command, "--out", "out"], self.folder)
        self.assertEqual(again.code, 0, again.err)
        config = (self.folder / "out" / "config.yaml").read_text()
        self.assertRegex(config, r"rank: 4\n\s*alpha: 6\n")

    def test_what_was_refused_can_be_given_rightly(self):
        messages = [{"role": role, "content": "How long?"} for role in ("caller", "assistant")]
        (self.folder / "log.jsonl").write_text(json.dumps({"id": "s", "messages": messages}) + "\n")
        importing = ["import", "log.jsonl", "--out", "data"]
        refused = run(importing, self.folder)
        self.assertIn("import.roles", refused.err)
        again = run([*importing, "--set", "import.roles.user=[caller]"], self.folder)
        self.assertEqual(again.code, 0, again.err)
        training = [*self.commands()["train grpo"], "--set", "grpo.overlong_buffer=17"]
        refused = run(training, self.folder)
        self.assertIn("overlong_buffer: larger than max_reply_tokens", refused.err)
        again = run([*training, "--set", "grpo.overlong_buffer=4", "--set", "grpo.steps=1"], self.folder)
        self.assertEqual(again.code, 0, again.err)

    def test_no_command_replaces_what_another_one_wrote(self):
        sessions, labels = (self.inputs / name / "train.jsonl" for name in ("data", "labels"))
        (self.folder / "notes.txt").write_text("mine\n")
        (self.folder / "sessions.jsonl").write_bytes(sessions.read_bytes())
        (self.folder / "labels.jsonl").write_bytes(labels.read_bytes())
        before = contents(self.folder)
        context = json.loads(labels.read_text().splitlines()[1])["session_id"] + "/1"
        replies = self.inputs / "replies.jsonl"
        replies.write_text(json.dumps({"context": context, "text": "Why?"}) + "\n")
        for command in (["label", sessions], ["generate", "pharmacy", "--sessions", "3"],
                        ["grade", labels, "--replies", replies]):
            for name in before:
                if command[0] == "label" and name == "labels.jsonl":
                    continue  # its own: made again
                finished = run([*command, "--out", name], self.folder)
                self.assertEqual(finished.code, 1, (command, name))
                self.assertIn(f"{name}: is there already, and not from learn2ask {command[0]}", finished.error())
        self.assertEqual(contents(self.folder), before)
        for command, name in ((["label", sessions], "labels.jsonl"), (["generate", "pharmacy", "--sessions", "3"], "a"),
                              (["grade", labels, "--replies", replies], "b")):
            for _ in range(2):
                finished = run([*command, "--out", name], self.folder)
                self.assertEqual(finished.code, 0, finished.err)
        dataset = ["export-dataset", labels, "--to", "trl", "--out"]
        refused = run([*dataset, "notes.txt"], self.folder)
        self.assertIn("notes.txt: is there already; nothing is overwritten", refused.error())
        self.assertEqual((self.folder / "notes.txt").read_text(), "mine\n")

    def test_a_log_may_be_one_array(self):
        lines = (self.inputs / "logs.jsonl").read_text().splitlines()[1:]
        (self.folder / "array.json").write_text("[" + ",\n ".join(lines) + "]\n")
        (self.folder / "lines.jsonl").write_text("".join(line + "\n" for line in lines))
        for name in ("array.json", "lines.jsonl"):
            finished = run(["import", name, "--out", name + ".d"], self.folder)
            self.assertEqual(finished.code, 0, finished.err)
        for split in ("train.jsonl", "dev.jsonl", "test.jsonl"):
            rows = [(self.folder / (name + ".d") / split).read_text().splitlines()[1:] for name in ("array.json", "lines.jsonl")]
            self.assertEqual(*rows)

    def test_standard_input_is_one_log(self):
        finished = run(["import", "--train", "-", "--dev", "-", "--out", "data"], self.folder, typed="{}\n")
        self.assertEqual((finished.code, finished.error()), (1, "error: import: -: standard input is there once"))

    def test_no_log_is_replaced_by_its_import(self):
        logs = {name: (self.inputs / "logs.jsonl").read_bytes() for name in ("train.jsonl", "test.jsonl")}
        for name, log in logs.items():
            (self.folder / name).write_bytes(log)
        finished = run(["import", "--train", "train.jsonl", "--out", "."], self.folder)
        self.assertEqual(finished.code, 1)
        self.assertIn("train.jsonl: is there already, and not of these logs", finished.err)
        self.assertEqual(contents(self.folder), {name: log for name, log in logs.items()})

    def test_an_import_that_was_refused_leaves_no_copy_of_its_input(self):
        finished = run(["import", "-", "--redact", "--out", "data"], self.folder, typed='{"id": "s", "messages": 3}\n')
        self.assertEqual(finished.code, 1)
        self.assertNotIn("stdin", [path.name for path in (self.folder / "data").iterdir()])

    def test_an_option_that_may_be_repeated_takes_one_word(self):
        labels = self.inputs / "labels" / "dev.jsonl"
        finished = run(["label", "--set", "extractor=rules", self.inputs / "data/dev.jsonl", "--out", "out.jsonl"],
                       self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        finished = run(["eval", "--policy", "base", labels, "--split", "dev", "--grader", "none", "--out", "out"],
                       self.folder)
        self.assertIn("none", finished.error())

    def test_an_evaluation_says_whom_its_grader_has_trained(self):
        labels, policy = self.inputs / "labels", ["--set", f"policy.model={self.inputs}/tiny.gguf"]
        trained = run(["train", "grpo", labels / "train.jsonl", "--out", "run", *policy, "--set", "grpo.steps=1",
                       "--set", "grpo.sessions_per_step=1", "--set", "reward.grader=words"], self.folder)
        self.assertEqual(trained.code, 0, trained.err)
        for grader in ("words", "match"):
            finished = run(["eval", labels / "dev.jsonl", "--split", "dev", "--policy", "base", "--policy", "mine=run",
                            "--grader", grader, "--out", grader, *policy], self.folder)
            self.assertEqual(finished.code, 0, finished.err)
            self.assertEqual("rewarded the training of mine:" in " ".join(finished.out.split()), grader == "words")

    def test_an_evaluation_has_the_sessions_of_its_labels(self):
        command = ["eval", self.inputs / "labels/dev.jsonl", "--split", "dev", "--grader", "truth", "--domain", "pharmacy",
                   "--sessions", self.inputs / "data/train.jsonl", "--out", "out",
                   "--set", f"policy.model={self.inputs}/tiny.gguf"]
        finished = run(command, self.folder)
        self.assertEqual(finished.code, 1)
        self.assertRegex(finished.error(), r"\(reward\.sessions\): session '\S+' is not in these files")
        self.assertEqual(contents(self.folder), {})

    def test_no_line_is_read_past_the_limit(self):
        finished = run(["model", "tokenize"], self.folder, typed='"' + "a" * (17 << 20))
        self.assertEqual((finished.code, finished.out), (1, ""))
        self.assertEqual(finished.error(), "error: standard input:1: line longer than 16 MiB")

    def test_published_decoding_is_what_settings_are_laid_over(self):
        command = [*self.commands()["eval"], "--published-decoding", "--set", "decoding.replies=2",
                   "--set", "decoding.max_reply_tokens=4"]
        self.assertEqual(run(command, self.folder).code, 0)
        table = (self.folder / "out" / "eval.md").read_text()
        self.assertIn("temperature 1, top-p 0.95, repetition penalty 1.2, 2 replies", table)

    def test_a_dialogue_that_is_too_long_is_named_or_cut(self):
        said = ["x " * 1500, "Since when?", "y " * 1500, "Any fever?", "no", "Rest."]
        messages = [{"role": ("user", "assistant")[i % 2], "content": text}
                    for i, text in enumerate(said)]
        log = json.dumps({"id": "long", "messages": messages})
        (self.folder / "log.jsonl").write_text(log + "\n")
        for line in ("import --train log.jsonl --out data",
                     "label data/train.jsonl --out labels.jsonl"):
            self.assertEqual(run(line.split(), self.folder).code, 0)
        command = ["eval", "labels.jsonl", "--split", "train", "--grader", "words", "--out", "out",
                   "--set", f"policy.model={self.inputs}/tiny.gguf"]
        refused = run(command, self.folder)
        self.assertEqual(refused.code, 1)
        self.assertRegex(refused.err, r"^error: eval: long/3: 6\d\d\d tokens and a reply of 64 "
                         r"exceed the model's 4096 positions \(leave the session out, or set "
                         r"policy\.cut_oldest_turns=true\)\n$")
        self.assertFalse((self.folder / "out").exists())
        command += ["--set", "policy.cut_oldest_turns=true"]
        self.assertEqual(run(command, self.folder).code, 0)
        self.assertIn("without its oldest turns, more than the policy holds: base 2.",
                      (self.folder / "out" / "eval.md").read_text())

    def test_a_finished_demo_shows_its_results_again(self):
        command = self.commands()["demo"]
        self.assertEqual(run(command, self.folder).code, 0)
        made = contents(self.folder)
        again = run(command, self.folder)
        self.assertEqual(again.code, 0, again.err)
        self.assertIn("| GRPO | ", again.out)
        self.assertIn("report: out/eval/report.html\n", again.out)
        comparisons = json.loads((self.folder / "out/eval/eval.json").read_text())["comparisons"]
        self.assertEqual({(c["policy"], c["against"]) for c in comparisons}, {("GRPO", "base")})
        for c in comparisons:
            self.assertAlmostEqual(c["a"] - c["b"], c["difference"])
        self.assert_same(contents(self.folder), made)

    def test_a_run_goes_on_under_its_own_thresholds_only(self):
        command = self.commands()["train grpo"]
        self.assertEqual(run(command, self.folder).code, 0)
        made = contents(self.folder)
        # What only pauses it may be changed.
        again = run([*command, "--set", "grpo.max_failure_rate=0.5"], self.folder)
        self.assertEqual(again.code, 0, again.err)
        self.assert_same(contents(self.folder), made)
        finished = run([*command, "--set", "reward.thresholds=pharmacy"], self.folder)
        self.assertEqual(finished.code, 1)
        self.assertIn("error: run directory: out: was started with another prompt"
                      " grader_thresholds.yaml (", finished.err)
        self.assert_same(contents(self.folder), made)
