"""kill -9 and Ctrl-C in the middle of every command: the same command, run again, ends in the same
bytes as one that nobody touched."""

import signal
import subprocess

from program import INTERRUPTED, ProgramTest, contents, Finished, run, start


class InterruptionTest(ProgramTest):
    MANY = 6000

    def test_every_command_goes_on(self):
        for name, command in self.commands().items():
            untouched = self.new_folder()
            finished = run(command, untouched)
            self.assertEqual(finished.code, 0, f"{name}: {finished.err}")
            expected = contents(untouched)
            for stop_signal in (signal.SIGKILL, signal.SIGINT):
                with self.subTest(command=name, signal=stop_signal.name):
                    stopped, made = self.stop_until_done(command, stop_signal)
                    self.assertGreater(stopped, 0)
                    self.assert_same(made, expected)

    def test_inspect_ends_on_ctrl_c(self):
        command, seconds = ["inspect", self.inputs / "many.jsonl"], 0.1
        for _ in range(50):
            process = start(command, self.folder)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
            finished = Finished(process)
            if finished.code == 1:
                self.assertEqual(finished.error(), INTERRUPTED)
                return
            # It came too late, or before the program could install its handler.
            self.assertIn(finished.code, (0, -signal.SIGINT), finished.err)
            seconds *= 0.8 if finished.code == 0 else 1.5
        self.fail("it never was interrupted")
