"""kill -9 just before a command changes a file, at changes spread over all that it makes: the same command, run again,
ends in the same bytes as one that nobody touched. (test_interruption.py stops at any time, which seldom is then.)"""

import os
import signal

from program import ProgramTest, contents, run

KILLED_WRITES = os.environ["LEARN2ASK_KILLED_WRITES"]  # the library of ../killed_writes


def spread(changes, count):
    """`count` of 1 .. changes, the first and the last among them."""
    return sorted({1 + i * (changes - 1) // (count - 1) for i in range(count)})


class KilledWritesTest(ProgramTest):
    def run_with_library(self, command, folder, **variables):
        environment = {**os.environ, "LD_PRELOAD": KILLED_WRITES}
        return run(command, folder, env=environment | {name: str(value) for name, value in variables.items()})

    def test_every_command_goes_on(self):
        for name, command in self.commands().items():
            untouched, said = self.new_folder(), self.new_folder() / "changes"
            finished = self.run_with_library(command, untouched, CHANGES_FILE=said)
            self.assertEqual(finished.code, 0, f"{name}: {finished.err}")
            expected = contents(untouched)
            for change in spread(int(said.read_text()), 12 if name.startswith("train") else 3):
                with self.subTest(command=name, change=change):
                    folder = self.new_folder()
                    killed = self.run_with_library(command, folder, KILL_AT_CHANGE=change)
                    self.assertEqual(killed.code, -signal.SIGKILL, killed.err)
                    again = run(command, folder)
                    self.assertEqual(again.code, 0, again.err)
                    self.assert_same(contents(folder), expected)
