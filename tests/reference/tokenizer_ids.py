"""What Hugging Face makes of texts: the reference that the tokenizer's tests compare with.

usage: tokenizer_ids.py vocabulary GGUF OUT          {"tokens", "merges", "types", "template"}
       tokenizer_ids.py train FOLDER IN OUT          trains a tokenizer of each kind on the texts of
                                                     IN: FOLDER/KIND/tokenizer.json, and KIND.gguf
                                                     of SentencePiece's; OUT stays empty
       tokenizer_ids.py bpe MODEL IN OUT             a JSON string a line -> its ids, by a GGUF file
                                                     or a folder
       tokenizer_ids.py wordpiece FOLDER IN OUT      the same for a BERT folder, with [CLS] and [SEP]
       tokenizer_ids.py chat MODEL IN OUT            {"messages", "open"} a line -> {"text", "ids"},
                                                     or {"error"} where the template raises; a line
                                                     may have a "template" and the folder of a
                                                     "tokenizer" of its own
       tokenizer_ids.py jinja NONE IN OUT            {"template", "variables"} a line -> {"text"} or
                                                     {"error"}

Special-token look-alikes in a text of `bpe` and `wordpiece` stay text.
"""

import functools
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


# The special tokens of all chat formats.
CHAT_TOKENS = ("<s> </s> <|im_start|> <|im_end|> <|start_header_id|> <|end_header_id|> <|eot_id|> "
               "<start_of_turn> <end_of_turn> [INST] [/INST] [SYSTEM_PROMPT] [/SYSTEM_PROMPT]")

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORD = r"|[^\r\n\p{L}\p{N}]?\p{L}+"


def train(folder, lines):
    texts = [json.loads(line) for line in lines]
    byte_level(folder, texts)
    sentence_pieces(folder, texts)


def byte_level(folder, texts):
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

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
    for name, (pre_tokenizer, normalizer, ignore_merges) in kinds.items():
        tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
        tokenizer.pre_tokenizer = pre_tokenizer
        if normalizer:
            tokenizer.normalizer = normalizer
        tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
            vocab_size=3000, show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
        tokenizer.add_special_tokens(CHAT_TOKENS.split())
        tokenizer.add_tokens([AddedToken(text, normalized=False)
                              for text in ("<tool_call>", "<tool_call>s", "\n\n\n")])
        save(tokenizer, folder + "/" + name, bos_token="<s>", eos_token="</s>")


MARK = "\u2581"


def sentence_pieces(folder, texts):
    """SentencePiece's BPE: trained pieces of text, then as its models have them: bytes, merges."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    replace = normalizers.Replace(" ", MARK)
    metaspace = lambda scheme: pre_tokenizers.Metaspace(MARK, scheme, split=False)
    kinds = {
        "llama2": (normalizers.Sequence([normalizers.Prepend(MARK), replace]), None, True),
        "mistral": (None, metaspace("first"), True),
        "always": (None, metaspace("always"), True),
        "gemma": (replace, pre_tokenizers.Split(" ", "merged_with_previous"), True),
        "no-bytes": (replace, None, False),
    }
    trained = Tokenizer(models.BPE())
    trained.normalizer = replace
    # Words and signs with the spaces before them, line breaks apart; some words reach over a space.
    words = MARK + r"*\w+(" + MARK + r"a)?|" + MARK + r"*[^\w\n]|\n+"
    trained.pre_tokenizer = pre_tokenizers.Split(Regex(words), "isolated")
    trained.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=3000, limit_alphabet=400, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    merges = [tuple(merge) for merge in model["merges"]]
    for name, (normalizer, pre_tokenizer, has_bytes) in kinds.items():
        names = ["<unk>", "<s>", "</s>"]
        names += [f"<0x{byte:02X}>" for byte in range(256)] if has_bytes else []
        vocab = {token: i for i, token in enumerate(dict.fromkeys(names + pieces))}
        tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True,
                                         byte_fallback=True))
        if normalizer:
            tokenizer.normalizer = normalizer
        if pre_tokenizer:
            tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
        tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False)])
        save(tokenizer, folder + "/" + name, bos_token="<s>", eos_token="</s>")
    write_gguf(folder + "/llama2.gguf", "llama", pieces)
    write_gguf(folder + "/gemma.gguf", "gemma3", pieces)


def write_gguf(path, architecture, pieces):
    import gguf

    kinds = gguf.TokenType
    tokens = [("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)]
    tokens += [(f"<0x{byte:02X}>", kinds.BYTE) for byte in range(256)]
    tokens += [("<tool_call>", kinds.USER_DEFINED)]
    if architecture == "gemma3":  # which writes runs of spaces so
        pieces = [" " * len(p) if len(p) > 1 and p == MARK * len(p) else p for p in pieces]
    tokens += [(piece, kinds.NORMAL) for piece in pieces]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token for token, _ in tokens])
    writer.add_token_scores([-float(i) for i in range(len(tokens))])
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def save(tokenizer, folder, **tokens):
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **tokens).save_pretrained(folder)


def encode(path, lines, out, **options):
    tokenizer = load(path)
    texts = [json.loads(line) for line in lines]
    for ids in tokenizer(texts, split_special_tokens=True, **options)["input_ids"]:
        print(json.dumps(ids), file=out)


def chat(path, lines, out):
    import jinja2

    load_once = functools.cache(load)
    for line in lines:
        row = json.loads(line)
        tokenizer = load_once(row.get("tokenizer", path))
        try:
            text = tokenizer.apply_chat_template(
                row["messages"], chat_template=row.get("template"), tokenize=False,
                add_generation_prompt=row["open"], enable_thinking=False, date_string="26 Jul 2024")
        except jinja2.TemplateError as error:
            print(json.dumps({"error": str(error)}), file=out)
            continue
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        print(json.dumps({"text": text, "ids": ids}), file=out)


def jinja(lines, out):
    import jinja2
    from transformers.utils.chat_template_utils import _compile_jinja_template

    for line in lines:
        row = json.loads(line)
        try:
            text = _compile_jinja_template(row["template"]).render(**row["variables"])
            print(json.dumps({"text": text}), file=out)
        except (jinja2.TemplateError, TypeError) as error:
            print(json.dumps({"error": str(error)}), file=out)


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
            elif what == "jinja":
                jinja(lines, out)
            else:
                sys.exit(__doc__)


main()
