"""Sentence vectors by Hugging Face: mean over the tokens, unit length, float32.

usage: minilm.py MODEL_FOLDER TEXTS.jsonl OUT.f32    (one JSON string a line; float32 rows out)
"""

import json
import sys

import torch
from transformers import AutoTokenizer, BertModel

folder, texts_path, out_path = sys.argv[1:]
torch.set_num_threads(1)  # a busy machine makes several wait for each other
# "[SEP]" in a text is text.
tokenizer = AutoTokenizer.from_pretrained(folder, split_special_tokens=True)
model = BertModel.from_pretrained(folder, add_pooling_layer=False).float().eval()
with open(texts_path, encoding="utf-8") as lines:
    texts = [json.loads(line) for line in lines]

with open(out_path, "wb") as out, torch.no_grad():
    for text in texts:  # one at a time: no padding, so nothing to hide behind
        inputs = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        mean = model(**inputs).last_hidden_state[0].mean(0)
        out.write((mean / mean.norm()).numpy().tobytes())
