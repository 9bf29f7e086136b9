"""Logits and LoRA gradients of a model by transformers and peft, in float32.

logits.py MODEL ROWS.json OUT.safetensors [--adapter DIR] [--greedy]

MODEL is a GGUF file or a folder. ROWS.json is a list of lists of token ids. OUT holds "logits.I"
[tokens, vocabulary] for row I; with an adapter, also the gradient of the mean over all rows' tokens
of -log p(next token) by each adapter matrix, under its name in the adapter's file; with --greedy
"greedy.I", the 64 likeliest tokens that the base model continues the row with.
"""

import argparse
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file

# MKL's vector functions must not be first called by two threads (learn2ask/model/transformer_load.cpp).
torch.tanh(torch.ones(1))


def load(path):
    path = pathlib.Path(path)
    options = {"dtype": torch.float32}
    if not path.is_dir():
        options["gguf_file"] = path.name
        path = path.parent
    return transformers.AutoModelForCausalLM.from_pretrained(str(path), **options).eval()


def gradients(model, rows):
    """Of the mean over all rows' tokens of -log p(next token), by parameter."""
    nll = 0.0
    for row in rows:
        ids = torch.tensor([row])
        logits = model(input_ids=ids).logits[0]
        nll = nll + torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="sum")
    (nll / sum(len(row) - 1 for row in rows)).backward()
    return {name: p.grad.contiguous() for name, p in model.named_parameters() if p.grad is not None}


def outputs(model, rows, adapter=None):
    if adapter:
        import peft

        model = peft.PeftModel.from_pretrained(model, adapter, is_trainable=True).eval()
    out = {}
    with torch.no_grad():
        for i, row in enumerate(rows):
            out[f"logits.{i}"] = model(input_ids=torch.tensor([row])).logits[0].contiguous()
    if adapter:
        for name, gradient in gradients(model, rows).items():
            out[name.replace(".default.", ".")] = gradient
    return out


def greedy(model, rows):
    out = {}
    for i, row in enumerate(rows):
        ids = model.generate(torch.tensor([row]), attention_mask=torch.ones(1, len(row)),
                             min_new_tokens=64, max_new_tokens=64, do_sample=False, eos_token_id=None)
        out[f"greedy.{i}"] = ids[0, len(row):].contiguous()
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("rows")
    parser.add_argument("out")
    parser.add_argument("--adapter")
    parser.add_argument("--greedy", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(2)
    rows = json.loads(pathlib.Path(args.rows).read_text())
    model = load(args.model)
    continued = greedy(model, rows) if args.greedy else {}
    save_file({**continued, **outputs(model, rows, args.adapter)}, args.out)


if __name__ == "__main__":
    main()
