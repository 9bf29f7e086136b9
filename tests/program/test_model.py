"""A model is the same from a GGUF file and from a folder that Hugging Face's libraries wrote."""

import json

from program import ProgramTest, run

DIALOGUES = (
    [{"role": "system", "content": "Ask."}, {"role": "user", "content": "My tooth hurts."}],
    [{"role": "user", "content": "the  12 <|im_end|>"}, {"role": "assistant", "content": "Since?"},
     {"role": "user", "content": ""}],
)


class ModelTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        import transformers

        transformers.logging.set_verbosity_error()
        cls.models = {"file": cls.inputs / "tiny.gguf", "folder": cls.inputs / "tiny"}
        read, kind = {"gguf_file": "tiny.gguf"}, transformers.AutoModelForCausalLM
        from_file = kind.from_pretrained(cls.inputs, **read)
        # A model that came from a GGUF file counts as quantised, and such are not saved.
        del from_file.config.quantization_config
        model = kind.from_config(from_file.config)
        model.load_state_dict(from_file.state_dict())
        model.save_pretrained(cls.models["folder"])
        transformers.AutoTokenizer.from_pretrained(cls.inputs, **read).save_pretrained(
            cls.models["folder"])
        # GPT-2's end of text comes along, one token more than the embedding has rows.
        file = cls.models["folder"] / "tokenizer.json"
        tokenizer = json.loads(file.read_text())
        tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"]
                                     if token["content"] != "<|endoftext|>"]
        file.write_text(json.dumps(tokenizer))

    def output(self, *arguments, typed=""):
        finished = run(list(arguments), self.folder, typed=typed)
        self.assertEqual((finished.code, finished.err), (0, ""), arguments)
        return finished.out

    def test_both_have_the_same_tokens(self):
        typed = "".join(json.dumps(dialogue) + "\n" for dialogue in DIALOGUES)
        outputs = [self.output("model", "template", model, typed=typed)
                   for model in self.models.values()]
        self.assertEqual(len(outputs[0].splitlines()), len(DIALOGUES))
        self.assertEqual(*outputs)

    def test_both_train_to_the_same_bytes(self):
        adapters = []
        for name, model in self.models.items():
            finished = run(["train", "sft", self.inputs / "labels" / "dev.jsonl", "--out", name,
                            "--set", f"policy.model={model}", "--set", "policy.threads=1",
                            "--set", "sft.epochs=1", "--set", "sft.sessions_per_step=4"],
                           self.folder)
            self.assertEqual(finished.code, 0, finished.err)
            adapters.append((self.folder / name / "adapter/adapter_model.safetensors").read_bytes())
        self.assertEqual(*adapters)

    def test_logits_are_those_of_transformers(self):
        import torch
        import transformers
        from safetensors.torch import load_file

        reference = transformers.AutoModelForCausalLM.from_pretrained(self.models["folder"])
        rows = [[5, 257, 80, 3], [97]]
        for model in self.models.values():
            self.output("model", "logits", model, "--ids", "-", "--out", "logits.safetensors",
                        typed="".join(f"{row}\n" for row in rows))
            logits = load_file(self.folder / "logits.safetensors")
            for i, row in enumerate(rows):
                with torch.no_grad():
                    expected = reference(torch.tensor([row])).logits[0]
                torch.testing.assert_close(logits[f"logits.{i}"], expected)

    def test_generates_what_transformers_generates(self):
        import torch
        import transformers

        reference = transformers.AutoModelForCausalLM.from_pretrained(self.models["folder"])
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.models["folder"])
        ids = tokenizer.apply_chat_template(DIALOGUES[0], add_generation_prompt=True,
                                            return_tensors="pt", return_dict=True)["input_ids"]
        expected = reference.generate(ids, max_new_tokens=20, do_sample=False,
                                      eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"))
        line = self.output("model", "generate", self.models["folder"], "--messages", "-",
                           "--max-tokens", 20, typed=json.dumps(DIALOGUES[0]))
        self.assertEqual(json.loads(line)["ids"], expected[0, ids.shape[1]:].tolist())

    def test_bad_rows_are_named(self):
        for row, why in (("[259]", "expected token ids from 0 to 258"),
                         ("[]", "expected an array of token ids"),
                         (str([1] * 4097), "4097 ids where the model has 4096 positions")):
            finished = run(["model", "logits", self.models["file"], "--ids", "-", "--out", "out"],
                           self.folder, typed="[1]\n" + row)
            self.assertEqual((finished.code, finished.error()),
                             (1, f"error: standard input:2: {why}"))
            self.assertFalse((self.folder / "out").exists())

    def test_check_names_each_part(self):
        for model in self.models.values():
            self.assertEqual(self.output("model", "check", model),
                             "tensors        20: all there, of the right shape, finite\n"
                             "tokenizer      259 tokens\n"
                             "chat template  chatml\n")

    def test_info_tells_what_is_in_it(self):
        for model in self.models.values():
            shown = self.output("model", "info", model)
            self.assertIn("tensors        20: 20 F32", shown)
            self.assertIn("hidden_size = 32", shown)
