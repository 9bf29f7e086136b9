"""An installed program finds its libraries, data and models without the sources."""

import os
import pathlib
import subprocess
import tempfile
import unittest

from program import PROGRAM

BUILD = pathlib.Path(PROGRAM).parent.parent


class InstallTest(unittest.TestCase):
    def run_in(self, folder, *command):
        environment = {"PATH": os.environ["PATH"]}
        return subprocess.run(command, cwd=folder, env=environment, text=True, check=True,
                              capture_output=True).stdout

    def test_it_runs_from_where_it_was_put(self):
        with tempfile.TemporaryDirectory(prefix="learn2ask-") as prefix:
            self.run_in(prefix, "cmake", "--install", BUILD, "--prefix", prefix)
            program = pathlib.Path(prefix, "bin/learn2ask")
            loaded = self.run_in(prefix, "ldd", program)
            self.assertNotIn("not found", loaded)
            self.assertNotIn("/.deps/", loaded)
            self.run_in(prefix, program, "generate", "pharmacy", "--sessions", "5", "--out", "logs")
            self.assertIn("smollm2", self.run_in(prefix, program, "model", "info").lower())
            shipped = pathlib.Path(prefix, "share/learn2ask")
            for name in ("LICENSE", "NOTICE", "prompts/policy_plain.txt", "recipes/demo.yaml",
                         "report.js", "models/all-MiniLM-L6-v2/model.safetensors"):
                self.assertTrue(any(shipped.rglob(name)), name)
