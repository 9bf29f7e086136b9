"""What Hugging Face makes of texts: the reference that the tokenizer's tests compare with.

usage: tokenizer_ids.py vocabulary GGUF OUT          {"tokens", "merges", "types", "template"}
       tokenizer_ids.py bpe GGUF IN OUT              a JSON string a line -> its ids
       tokenizer_ids.py wordpiece FOLDER IN OUT      the same for a BERT folder, with [CLS] and [SEP]
       tokenizer_ids.py chat GGUF IN OUT             OpenAI messages a line -> {"text", "ids"}

Special-token look-alikes in a text of `bpe` and `wordpiece` stay text.
"""

import json
import os
import sys


def load(path):
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    from transformers import AutoTokenizer

    if os.path.isdir(path):
        return AutoTokenizer.from_pretrained(path)
    folder, name = os.path.split(path)
    return AutoTokenizer.from_pretrained(folder, gguf_file=name)


def vocabulary(path, out):
    import gguf

    def field(key):
        return reader.fields["tokenizer." + key].contents()

    reader = gguf.GGUFReader(path)
    json.dump({"tokens": field("ggml.tokens"), "merges": field("ggml.merges"),
               "types": field("ggml.token_type"), "template": field("chat_template")}, out)


def encode(path, lines, out, **options):
    tokenizer = load(path)
    texts = [json.loads(line) for line in lines]
    for ids in tokenizer(texts, split_special_tokens=True, **options)["input_ids"]:
        print(json.dumps(ids), file=out)


def chat(path, lines, out):
    tokenizer = load(path)
    for line in lines:
        messages = json.loads(line)
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        print(json.dumps({"text": text, "ids": ids}), file=out)


def main():
    what, model, *files = sys.argv[1:]
    with open(files[-1], "w", encoding="utf-8") as out:
        if what == "vocabulary":
            vocabulary(model, out)
            return
        with open(files[0], encoding="utf-8") as lines:
            if what == "bpe":
                encode(model, lines, out, add_special_tokens=False)
            elif what == "wordpiece":
                encode(model, lines, out, truncation=True, max_length=256, padding=False)
            elif what == "chat":
                chat(model, lines, out)
            else:
                sys.exit(__doc__)


main()
