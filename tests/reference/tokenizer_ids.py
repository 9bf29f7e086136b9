"""What Hugging Face makes of texts: the reference that the tokenizer's tests compare with.

usage: tokenizer_ids.py vocabulary GGUF OUT          {"tokens", "merges", "types", "template"}
       tokenizer_ids.py train FOLDER IN OUT          trains a tokenizer of each kind on the texts of
                                                     IN: FOLDER/KIND/tokenizer.json; OUT stays empty
       tokenizer_ids.py bpe MODEL IN OUT             a JSON string a line -> its ids, by a GGUF file
                                                     or a folder
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


CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORD = r"|[^\r\n\p{L}\p{N}]?\p{L}+"


def train(folder, lines):
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    def pattern(numbers):
        regex = Regex(CONTRACTIONS + WORD + numbers + REST)
        return pre_tokenizers.Sequence([
            pre_tokenizers.Split(regex, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])

    own = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    kinds = {
        "gpt2": (own, None, False),
        "smollm": (pre_tokenizers.Sequence([digits, own]), None, False),
        "llama3": (pattern(r"|\p{N}{1,3}"), None, True),
        "qwen2": (pattern(r"|\p{N}"), normalizers.NFC(), False),
    }
    texts = [json.loads(line) for line in lines]
    for name, (pre_tokenizer, normalizer, ignore_merges) in kinds.items():
        tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
        tokenizer.pre_tokenizer = pre_tokenizer
        if normalizer:
            tokenizer.normalizer = normalizer
        tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
            vocab_size=3000, show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
        tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
        tokenizer.add_tokens([AddedToken(text, normalized=False)
                              for text in ("<tool_call>", "<tool_call>s", "\n\n\n")])
        PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder + "/" + name)


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
            if what == "train":
                train(model, lines)
            elif what == "bpe":
                encode(model, lines, out, add_special_tokens=False)
            elif what == "wordpiece":
                encode(model, lines, out, truncation=True, max_length=256, padding=False)
            elif what == "chat":
                chat(model, lines, out)
            else:
                sys.exit(__doc__)


main()
