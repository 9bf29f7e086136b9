"""Whatever runs a model runs on a device that is not the CPU and comes to what the CPU comes to: on what
$L2A_TEST_DEVICE names, or one whose memory the host cannot touch (tests/guarded_device)."""

import json
import os
import signal

import torch
from safetensors.torch import load_file

from program import ProgramTest, contents, run

DEVICE = os.environ.get("L2A_TEST_DEVICE", "guarded")
WITH_DEVICE = dict(os.environ)
if DEVICE == "guarded":
    WITH_DEVICE["LD_PRELOAD"] = os.environ["LEARN2ASK_GUARDED_DEVICE"]
DEVICES = ("cpu", DEVICE)


class DeviceTest(ProgramTest):
    def run_on(self, device, command, folder, **options):
        finished = run([*command, "--set", f"policy.device={device}", "--set", "policy.compute=float32"],
                       folder, env=WITH_DEVICE, **options)
        self.assertEqual(finished.code, 0, finished.err)
        return finished

    def on_both(self, name, *settings):
        """The folders in which one of the commands ran on each device."""
        folders = []
        for device in DEVICES:
            folders.append(self.new_folder())
            self.run_on(device, [*self.commands()[name], *settings], folders[-1])
        return folders

    def assert_alike(self, folders, weights, keys):
        """The weights that were trained, and these numbers of each step, but for rounding."""
        theirs, ours = (load_file(folder / "out" / weights) for folder in folders)
        self.assertEqual(theirs.keys(), ours.keys())
        for name, expected in theirs.items():
            torch.testing.assert_close(ours[name], expected, rtol=1e-3, atol=1e-4, msg=name)
        steps = [[json.loads(line) for line in (folder / "out/metrics.jsonl").read_text().splitlines()]
                 for folder in folders]
        for expected, step in zip(*steps, strict=True):
            for key in keys:
                self.assertAlmostEqual(step[key], expected[key], delta=1e-3 * abs(expected[key]) + 1e-5, msg=key)

    def assert_same_replies(self, folders):
        replies = [[json.loads(line)["reply"] for line in (folder / "out/rollouts.jsonl").read_text().splitlines()]
                   for folder in folders]
        self.assertGreater(len(replies[0]), 8)
        self.assertEqual(*replies)

    def test_sft(self):
        self.assert_alike(self.on_both("train sft"), "adapter/adapter_model.safetensors", ["loss", "grad_norm"])

    def test_sft_of_all_weights(self):
        self.assert_alike(self.on_both("train sft of all weights"), "model/model.safetensors", ["loss", "grad_norm"])

    def test_sft_on_a_model_kept_quantized(self):
        self.assert_alike(self.on_both("train sft", "--set", "policy.keep_quantized=true"),
                          "adapter/adapter_model.safetensors", ["loss", "grad_norm"])

    def test_grpo(self):
        folders = self.on_both("train grpo", "--set", "grpo.loss.kl_weight=0.1",
                               "--set", "grpo.loss.entropy_weight=0.01")
        self.assert_same_replies(folders)
        self.assert_alike(folders, "adapter/adapter_model.safetensors", ["reward", "entropy"])

    def test_dpo(self):
        folders = self.on_both("train dpo")
        self.assert_same_replies(folders)
        self.assert_alike(folders, "adapter/adapter_model.safetensors", ["reward"])

    def test_eval(self):
        tables = [(folder / "out/eval.json").read_text() for folder in self.on_both("eval")]
        self.assertEqual(*(table.replace(DEVICE, "cpu") for table in tables))

    def test_a_run_that_was_killed_goes_on(self):
        command = [*self.commands()["train sft of all weights"], "--set", f"policy.device={DEVICE}"]
        untouched = self.new_folder()
        self.assertEqual(run(command, untouched, env=WITH_DEVICE).code, 0)
        stopped, made = self.stop_until_done(command, signal.SIGKILL, env=WITH_DEVICE)
        self.assertGreater(stopped, 0)
        self.assert_same(made, contents(untouched))

    def test_chat(self):
        chat = ["chat", "--set", f"policy.model={self.inputs}/tiny.gguf", "--set", "decoding.max_reply_tokens=8"]
        said = [self.run_on(device, chat, self.folder, typed="I have a cough\nsince Monday\n/quit\n").out
                for device in DEVICES]
        self.assertIn("policy  > ", said[0])
        self.assertEqual(*said)

    def test_a_device_that_is_not_there_is_named(self):
        for device, why in ((f"{DEVICE}:99", "not on this machine (use cpu)"),
                            ("meta", "not on this machine (use cpu)"),
                            ("warp", "no such device (use cpu or cuda)")):
            finished = run(["model", "generate", self.inputs / "tiny.gguf", "--messages", "-", "--device", device],
                           self.folder, env=WITH_DEVICE, typed='[{"role": "user", "content": "a"}]')
            self.assertEqual((finished.code, finished.error()), (1, f"error: model: device '{device}': {why}"))
