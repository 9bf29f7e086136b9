"""No room, or no right, to write: one line that says so, nothing half written under its final name,
and the same command goes on when there is room."""

import ctypes
import os
import subprocess

from program import PROGRAM, ProgramTest, contents, run

CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24


def as_an_ordinary_user():
    """Root writes where it likes; without this capability it may not."""
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0):
        raise PermissionError("root that may not give up its right to write anywhere")


class FullDiskTest(ProgramTest):
    def test_every_command_says_so_and_goes_on(self):
        for name, command in self.commands().items():
            with self.subTest(command=name):
                untouched, folder = self.new_folder(), self.new_folder()
                expected = run(command, untouched)
                self.assertEqual(expected.code, 0, expected.err)
                largest = max(path.stat().st_size for path in untouched.rglob("*"))
                full = run(command, folder, file_bytes=largest // 2)
                self.assertEqual(full.code, 1, full.err)
                self.assertRegex(full.error(), r"^error: write: out.*: File too large$")
                again = run(command, folder)
                self.assertEqual(again.code, 0, again.err)
                self.assert_same(contents(folder), contents(untouched))

    def test_a_folder_that_may_not_be_written_is_refused_before_any_work(self):
        try:
            subprocess.run(["true"], preexec_fn=as_an_ordinary_user, check=True)
        except subprocess.SubprocessError as error:
            self.skipTest(str(error))
        for name, command in self.commands().items():
            with self.subTest(command=name):
                folder = self.new_folder()
                folder.chmod(0o500)
                finished = subprocess.run(
                    [PROGRAM, *map(str, command)], cwd=folder, preexec_fn=as_an_ordinary_user,
                    capture_output=True, text=True, check=False)
                self.assertEqual(finished.returncode, 1)
                self.assertRegex(finished.stderr, r"(?m)^error: create.*: out: Permission denied$")
                self.assertEqual(list(folder.iterdir()), [])

    def test_what_is_printed_counts_too(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            finished = run(["inspect", self.inputs / "many.jsonl"], self.folder, stdout=full)
        self.assertEqual(finished.code, 1)
        self.assertEqual(finished.error(),
                         "error: write: standard output: not all could be written")
