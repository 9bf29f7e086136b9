"""A chat: typed lines in, the policy's action out, and a transcript that import reads."""

import contextlib
import json
import os
import pty
import signal
import time

from program import SECONDS, ProgramTest, run, start

PROMPT = b"you     > "


class ChatTest(ProgramTest):
    def chat(self):
        return ["chat", "--transcript", "talk.csv", "--set", f"policy.model={self.inputs}/tiny.gguf",
                "--set", "decoding.max_reply_tokens=8"]

    def at_length(self):
        """Long enough for a random model to come to an end."""
        return ["--set", "decoding.max_reply_tokens=1500", "--set", "decoding.temperature=1"]

    def test_the_transcript_is_a_log(self):
        typed = 'I "have" a cough\nsince Monday\n/quit\n'
        finished = run([*self.chat(), *self.at_length()], self.folder, typed=typed)
        self.assertEqual((finished.code, finished.err), (0, ""))
        self.assertIn("[continue]", finished.out)
        read = run(["import", "--train", "talk.csv", "--out", "data"], self.folder)
        self.assertEqual(read.code, 0, read.err)
        sessions = (self.folder / "data/train.jsonl").read_text().splitlines()[1:]
        messages = json.loads(sessions[0])["messages"]
        self.assertEqual([message["role"] for message in messages[:2]], ["user", "assistant"])
        self.assertEqual(messages[0]["content"], 'I "have" a cough')

    def test_a_reply_of_several_lines_is_one_row_of_the_transcript(self):
        finished = run([*self.chat(), *self.at_length()], self.folder, typed="And then?\n" * 6)
        self.assertEqual((finished.code, finished.err), (0, ""))
        rows = (self.folder / "talk.csv").read_text().removesuffix("\n").split("\n")
        malformed = finished.out.count("[malformed: ")
        replies = finished.out.count("policy  > ")  # fewer than six where the policy stops
        self.assertEqual(len(rows), 1 + 2 * replies - malformed)
        self.assertGreater(replies, malformed)

    def test_a_malformed_reply_is_no_part_of_the_log(self):
        chat = [*self.chat(), "--set", "policy.reply_format=tuple"]
        finished = run(chat, self.folder, typed="I cough\n")
        self.assertIn("[malformed: ", finished.out)
        head, *rows = (self.folder / "talk.csv").read_text().splitlines()
        self.assertEqual([row.split(",")[1] for row in rows], ["user"])

    def test_a_log_of_another_kind_is_left_as_it_is(self):
        log = self.folder / "talk.csv"
        log.write_text("id,role,text\n1,user,the last row")
        finished = run(self.chat(), self.folder, typed="I cough\n")
        self.assertEqual(finished.code, 1)
        self.assertIn("talk.csv: is another file: it does not begin with session,role,text,time",
                      finished.err)
        self.assertEqual(log.read_text(), "id,role,text\n1,user,the last row")

    def at_a_terminal(self, command):
        """The process, waiting at its first prompt, and the user's end of its terminal."""
        controller, terminal = pty.openpty()
        self.addCleanup(os.close, controller)
        process = start(command, self.folder, stdin=terminal, stdout=terminal)
        os.close(terminal)

        def end():
            with process:
                process.kill()

        self.addCleanup(end)
        shown = b""
        while PROMPT not in shown:
            shown += os.read(controller, 1000)
        return process, controller

    def test_ctrl_c_at_the_prompt_ends_it(self):
        process, _ = self.at_a_terminal(self.chat())
        process.send_signal(signal.SIGINT)  # whether it reads yet or not
        self.assertEqual(process.wait(SECONDS), 0)

    def test_ctrl_c_during_a_reply_ends_it_at_the_next_prompt(self):
        process, controller = self.at_a_terminal([*self.chat(), *self.at_length()])
        os.write(controller, b'I "have" a cough\n')
        while ",user," not in (self.folder / "talk.csv").read_text():
            self.assertIsNone(process.poll())
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(SECONDS), 0)
        shown = b""
        with contextlib.suppress(OSError):  # the end of what was shown
            while more := os.read(controller, 1000):
                shown += more
        self.assertIn(PROMPT, shown.partition(b"[continue]")[2])
