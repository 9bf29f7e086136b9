"""All weights trained: what comes of it is a model like any other."""

import json
import pathlib
import sys

from program import ProgramTest, run

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "reference"))

ROWS = [[5, 87, 80, 3, 99, 12, 12, 40], [97]]
FULL = ["--set", "finetuning=full", "--set", "policy.threads=1"]


class FullFinetuningTest(ProgramTest):
    def train(self, what, model, out, *settings):
        sets = [x for setting in settings for x in ("--set", setting)]
        return run(["train", what, self.inputs / "labels/train.jsonl", "--out", out, *FULL,
                    "--set", f"policy.model={model}", *sets], self.folder)

    def sft(self, *settings):
        finished = self.train("sft", self.inputs / "tiny.gguf", "sft", "sft.optimizer.lr=1e-3", *settings)
        self.assertEqual(finished.code, 0, finished.err)
        self.assertIn("model of step-", finished.out)
        return self.folder / "sft/model"

    def our_logits(self, model, dtype):
        from safetensors.torch import load_file

        finished = run(["model", "logits", model, "--ids", "-", "--out", "l.safetensors", "--dtype", dtype],
                       self.folder, typed="".join(f"{row}\n" for row in ROWS))
        self.assertEqual(finished.code, 0, finished.err)
        return load_file(self.folder / "l.safetensors")

    def test_transformers_loads_the_model(self):
        import logits

        model = self.sft("policy.compute=float32", "sft.epochs=1")
        ours, theirs = self.our_logits(model, "fp32"), logits.outputs(logits.load(model), ROWS)
        start = self.our_logits(self.inputs / "tiny.gguf", "fp32")
        for name, expected in theirs.items():
            self.assertLess((ours[name] - expected).norm() / expected.norm(), 1e-5)
            self.assertGreater((start[name] - expected).norm() / expected.norm(), 0.01)

    def test_eval_and_grpo_start_from_the_model(self):
        model = self.sft("sft.epochs=1")
        finished = self.train("grpo", model, "grpo", "grpo.steps=2", "grpo.sessions_per_step=1",
                              "grpo.group_size=4", "grpo.max_reply_tokens=16")
        self.assertEqual(finished.code, 0, finished.err)
        finished = run(["train", "sft", self.inputs / "labels/train.jsonl", "--out", "over", "--set", "sft.epochs=1",
                        "--set", "lora.rank=1", "--set", "sft.optimizer.lr=1e-12", "--set", f"policy.model={model}"],
                       self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        finished = run(["eval", self.inputs / "labels/dev.jsonl", "--split", "dev", "--grader", "words",
                        "--policy", "base", "--policy", "SFT=sft", "--policy", "itself=sft/model",
                        "--policy", "GRPO=grpo", "--policy", "基线=over", "--policy", "强化=sft", "--out", "eval", "--set", "policy.threads=1",
                        "--set", f"policy.model={self.inputs}/tiny.gguf"], self.folder)
        self.assertEqual(finished.code, 0, finished.err)
        self.assertIn("its adapter was trained on", finished.err)

        def replies(policy):
            lines = (self.folder / f"eval/rows/{policy}.words.jsonl").read_text().splitlines()[1:]
            return [json.loads(line)["reply"] for line in lines]

        self.assertEqual(replies("SFT"), replies("itself"))
        self.assertNotEqual(replies("SFT"), replies("base"))
        self.assertEqual(replies("基线"), replies("SFT"))  # an adapter that learnt next to nothing, on its own model

    def test_what_does_not_go_with_it_is_refused_before_anything_is_written(self):
        for settings, said in [
                (["policy.int8_generation=true"], "error: train: policy.int8_generation: not with finetuning: full"),
                (["lora.rank=8"], "error: train: lora: not with finetuning: full"),
                (["finetuning=all"], "error: --set: 'finetuning': expected one of lora, full")]:
            finished = self.train("sft", self.inputs / "tiny.gguf", "out", *settings)
            self.assertEqual(finished.code, 1)
            self.assertTrue(finished.error().startswith(said), finished.error())
        finished = run(["train", "sft", self.inputs / "labels/train.jsonl", "--adapter", "some", "--out", "out",
                        *FULL, "--set", f"policy.model={self.inputs}/tiny.gguf"], self.folder)
        self.assertTrue(finished.error().startswith("error: train: --adapter: not with finetuning: full"))
        self.assertEqual(list(self.folder.iterdir()), [])
