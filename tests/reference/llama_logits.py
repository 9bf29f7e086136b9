"""Logits and LoRA gradients of a GGUF model by transformers and peft, in float32.

llama_logits.py MODEL.gguf ROWS.json OUT.safetensors [--adapter DIR]

ROWS.json is a list of lists of token ids. OUT holds "logits.I" [tokens, vocabulary] for row I;
with an adapter, also the gradient of the mean over all rows' tokens of -log p(next token) by each
adapter matrix, under its name in the adapter's file.
"""

import argparse
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file


def load(gguf):
    path = pathlib.Path(gguf)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        str(path.parent), gguf_file=path.name, dtype=torch.float32
    )
    return model.eval()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("rows")
    parser.add_argument("out")
    parser.add_argument("--adapter")
    args = parser.parse_args()
    torch.set_num_threads(2)

    model = load(args.model)
    if args.adapter:
        import peft

        model = peft.PeftModel.from_pretrained(model, args.adapter, is_trainable=True).eval()
    out = {}
    nll, count = 0.0, 0
    with torch.set_grad_enabled(args.adapter is not None):
        for i, row in enumerate(json.loads(pathlib.Path(args.rows).read_text())):
            ids = torch.tensor([row])
            logits = model(input_ids=ids).logits[0]
            out[f"logits.{i}"] = logits.detach().clone().contiguous()
            nll = nll + torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="sum")
            count += len(row) - 1
    if args.adapter:
        (nll / count).backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                out[name.replace(".default.", ".")] = parameter.grad.contiguous()
    save_file(out, args.out)


if __name__ == "__main__":
    main()
