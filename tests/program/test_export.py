"""A trained policy in the formats of others says what it says here."""

import json
import pathlib
import shutil
import sys

from program import ProgramTest, run

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "reference"))

ROWS = [[5, 87, 80, 3, 99, 12, 12, 40], [97]]


class ExportTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        import peft
        import tiny_models
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        torch.set_num_threads(2)
        cls.models = cls.inputs / "models"
        tiny_models.write(cls.models)
        cls.names = sorted(path.name for path in cls.models.iterdir() if path.is_dir())
        tokenizer = {
            "added_tokens": [{"id": 100, "content": "<|im_end|>", "special": True}],
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
            "model": {"type": "BPE", "vocab": {chr(33 + i): i for i in range(90)} | {"ab": 90},
                      "merges": [["a", "b"]]},
        }
        for name in cls.names:
            folder = cls.models / name
            (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
            (folder / "tokenizer_config.json").write_text(json.dumps(
                {"eos_token": "<|im_end|>", "tokenizer_class": "PreTrainedTokenizerFast"}))
            (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
            model = transformers.AutoModelForCausalLM.from_pretrained(folder)
            config = peft.LoraConfig(r=2, lora_alpha=8, task_type="CAUSAL_LM", target_modules=[
                "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
            adapted = peft.get_peft_model(model, config)
            for key, value in adapted.named_parameters():
                if "lora_" in key:
                    torch.nn.init.normal_(value, std=0.1)
            adapted.save_pretrained(cls.inputs / "adapters" / name)

    def export(self, *arguments):
        finished = run(["export", *arguments], self.folder)
        self.assertEqual((finished.code, finished.err), (0, ""), (arguments, finished.out))
        return finished.out

    def refusal(self, *arguments):
        finished = run(["export", *arguments], self.folder)
        self.assertEqual(finished.code, 1)
        return finished.error()

    def expected(self, name, rows=ROWS):
        """The logits of model and adapter by transformers and peft."""
        import logits

        return logits.outputs(logits.load(self.models / name), rows, self.inputs / "adapters" / name)

    def our_logits(self, path):
        from safetensors.torch import load_file

        typed = "".join(f"{row}\n" for row in ROWS)
        finished = run(["model", "logits", path, "--ids", "-", "--out", "logits.safetensors"],
                       self.folder, typed=typed)
        self.assertEqual(finished.code, 0, finished.err)
        return load_file(self.folder / "logits.safetensors")

    def assert_logits(self, path, expected, tolerance):
        """transformers gives such logits for it."""
        import logits

        self.assert_near(logits.outputs(logits.load(path), ROWS), expected, tolerance, path)

    def assert_near(self, outputs, expected, tolerance, path):
        for i in range(len(ROWS)):
            want, have = expected[f"logits.{i}"], outputs[f"logits.{i}"]
            self.assertLess(float((have - want).norm() / want.norm()), tolerance, path)

    def test_folders_are_read_by_transformers(self):
        for name in self.names:
            expected = self.expected(name)
            for kind, tolerance in (("f32", 2e-6), ("bf16", 2e-2)):
                shown = self.export(self.models / name, "--adapter", self.inputs / "adapters" / name,
                                    "--format", "folder", "--type", kind, "--verify",
                                    "--out", f"{name}-{kind}")
                self.assertIn("verified", shown)
                self.assert_logits(self.folder / f"{name}-{kind}", expected, tolerance)
            for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
                self.assertEqual((self.folder / f"{name}-f32" / file).read_bytes(),
                                 (self.models / name / file).read_bytes())

    def test_gguf_files_say_the_same_model(self):
        # From GGUF files transformers reads no windows, caps, scaled rotations, nor a width of
        # heads other than the model's over their number.
        plain = {"llama", "qwen2"}
        unsayable = {"qwen2-window": "which layers have a window",
                     "qwen2-yarn": "an attention_factor, mscale or truncate of yarn's scaling",
                     "gemma3": "another query_pre_attn_scalar than 12"}
        for name in self.names:
            arguments = [self.models / name, "--adapter", self.inputs / "adapters" / name,
                         "--format", "gguf"]
            if name in unsayable:
                self.assertEqual(self.refusal(*arguments, "--out", "x"),
                                 f"error: export: GGUF cannot say {unsayable[name]}")
                continue
            expected = self.expected(name)
            for kind, tolerance in (("f32", 2e-6), ("f16", 4e-3), ("q8_0", 4e-2)):
                out = f"{name}-{kind}.gguf"
                self.assertIn("verified", self.export(*arguments, "--type", kind, "--verify",
                                                      "--out", out))
                self.assert_near(self.our_logits(out), expected, tolerance, out)
                if name in plain:
                    self.assert_logits(self.folder / out, expected, tolerance)

    def test_a_gguf_file_becomes_a_folder_and_back(self):
        import logits
        import transformers

        file = self.inputs / "tiny.gguf"
        self.export(file, "--format", "folder", "--type", "f32", "--verify", "--out", "folder")
        original = logits.outputs(logits.load(file), ROWS)
        self.assert_logits(self.folder / "folder", original, 2e-6)
        self.export("folder", "--format", "gguf", "--type", "f32", "--verify", "--out", "back.gguf")
        self.assert_logits(self.folder / "back.gguf", original, 2e-6)
        texts = ["the  cat's 12\u00b5g <|im_end|>", "\u4e2d\n\n x"]
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.folder / "folder")
        ids = tokenizer(texts, split_special_tokens=True)["input_ids"]
        typed = "".join(json.dumps(text) + "\n" for text in texts)
        for model in (file, "folder", "back.gguf"):
            finished = run(["model", "tokenize", model], self.folder, typed=typed)
            self.assertEqual([json.loads(line) for line in finished.out.splitlines()], ids)
        messages = [{"role": "user", "content": "hi"}]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        finished = run(["model", "template", "back.gguf"], self.folder, typed=json.dumps(messages))
        self.assertEqual(json.loads(finished.out)["text"], text)

    def test_an_adapter_alone(self):
        import gguf
        import numpy as np
        from safetensors.numpy import load_file

        name = "llama"
        adapter = self.inputs / "adapters" / name
        self.export(self.models / name, "--adapter", adapter, "--format", "peft", "--verify",
                    "--out", "adapter")
        theirs = load_file(adapter / "adapter_model.safetensors")
        ours = load_file(self.folder / "adapter" / "adapter_model.safetensors")
        self.assertEqual(theirs.keys(), ours.keys())
        for key, value in theirs.items():
            np.testing.assert_array_equal(ours[key], value)

        self.export(self.models / name, "--adapter", adapter, "--format", "gguf-adapter",
                    "--out", "adapter.gguf")
        reader = gguf.GGUFReader(self.folder / "adapter.gguf")
        tensors = {tensor.name: tensor.data for tensor in reader.tensors}
        self.assertEqual(len(tensors), len(theirs))
        self.assertEqual(reader.fields["adapter.lora.alpha"].contents(), 8.0)
        prefix = "base_model.model.model.layers.1."
        np.testing.assert_array_equal(tensors["blk.1.ffn_up.weight.lora_a"],
                                      theirs[prefix + "mlp.up_proj.lora_A.weight"])
        b = theirs[prefix + "self_attn.q_proj.lora_B.weight"]
        heads = b.reshape(6, 2, 4, 2).swapaxes(1, 2).reshape(48, 2)
        np.testing.assert_array_equal(tensors["blk.1.attn_q.weight.lora_b"], heads)

    def test_a_folder_may_be_named_with_a_slash(self):
        self.export(self.models / "llama", "--format", "folder", "--out", "new/model/")
        self.assertEqual([path.name for path in (self.folder / "new").iterdir()], ["model"])
        self.assertTrue((self.folder / "new/model/model.safetensors").is_file())

    def test_what_a_killed_export_left_does_not_matter(self):
        for name in ("model.learn2ask-partial", "model.partial"):
            (self.folder / name).mkdir()
            (self.folder / name / "model.safetensors").write_text("half")
        self.export(self.models / "llama", "--format", "folder", "--verify", "--out", "model")
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"model", "model.partial"})  # the other is no one's

    def test_on_a_full_disk_nothing_is_left(self):
        for kind in ("folder", "gguf"):
            finished = run(["export", self.models / "llama", "--format", kind, "--out", "model"],
                           self.folder, file_bytes=40_000)
            self.assertEqual((finished.code, list(self.folder.iterdir())), (1, []))
            self.assertIn("File too large", finished.error())

    def test_nothing_is_overwritten(self):
        for out in ("there", "there.gguf"):
            (self.folder / out).write_text("mine")
            kind = "gguf" if out.endswith("gguf") else "folder"
            self.assertEqual(self.refusal(self.models / "llama", "--format", kind, "--out", out),
                             f"error: export: {out}: is there already; nothing is overwritten "
                             "(give another --out)")
            self.assertEqual((self.folder / out).read_text(), "mine")

    def test_an_adapter_that_changes_nothing_is_refused(self):
        from safetensors.numpy import load_file, save_file

        adapter = self.folder / "adapter"
        shutil.copytree(self.inputs / "adapters" / "llama", adapter)
        file = adapter / "adapter_model.safetensors"
        for factor, kind in ((0, "f32"), (1e-12, "bf16")):
            tensors = load_file(self.inputs / "adapters" / "llama" / file.name)
            save_file({key: value * (factor if "lora_B" in key else 1) for key, value in
                       tensors.items()}, file)
            for form in ("folder", "gguf"):
                self.assertEqual(
                    self.refusal(self.models / "llama", "--adapter", "adapter", "--format", form,
                                 "--type", kind, "--out", "out"),
                    f"error: export: the adapter changes no weight in {kind.upper()}: it is "
                    "untrained, or smaller than the type's rounding")
                self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["adapter"])

    def test_what_a_format_needs_is_said(self):
        model = self.models / "llama"
        self.assertEqual(self.refusal(model, "--format", "peft", "--out", "x"),
                         "error: export: --format peft needs --adapter")
        self.assertEqual(
            self.refusal(model, "--format", "folder", "--type", "q8_0", "--out", "x"),
            "error: export: --type q8_0: a folder takes f32, f16 or bf16")
        self.assertEqual(
            self.refusal(model, "--adapter", self.inputs / "adapters" / "llama", "--format", "peft", "--type", "bf16",
                         "--out", "x"),
            "error: export: --type: not with --format peft: the adapter is written in float32, as it was trained "
            "(leave --type out)")
