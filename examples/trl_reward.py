# Rewards for TRL's GRPOTrainer from `learn2ask serve-reward LABELS`. Written for TRL 1.16.0. From 1.6.0 on TRL leaves a
# reply without a reward (None) out of its group; earlier versions take it for a reward of 0.
#
#   learn2ask export-dataset LABELS --to trl --out prompts.jsonl
#
#   trl_reward.END_IDS = {tokenizer.eos_token_id}  # a reply that ends otherwise was cut
#   GRPOTrainer(model, reward_funcs=trl_reward.learn2ask_reward, args=GRPOConfig(...),
#               train_dataset=load_dataset("json", data_files="prompts.jsonl")["train"])
import json
import os
import time
import urllib.error
import urllib.request

URL = os.environ.get("LEARN2ASK_REWARD_URL", "http://127.0.0.1:8100")
TOKEN = os.environ.get("LEARN2ASK_TOKEN", "")
PATIENCE_S = 600  # of waiting for a server that is busy or away
END_IDS = set()  # empty: no reply counts as cut
server = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # past any proxy


def post(path, body):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {TOKEN}"} if TOKEN else {})
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            with server.open(request, timeout=PATIENCE_S) as answer:
                return json.load(answer)
        except OSError as error:
            refused = isinstance(error, urllib.error.HTTPError)
            wait = float(error.headers.get("Retry-After", 1)) if refused else 1.0
            if (refused and error.code != 503) or time.monotonic() + wait > give_up:
                said = error.read().decode(errors="replace") if refused else ""
                raise RuntimeError(f"{URL}{path}: {error} {said}") from error
        time.sleep(wait)


def learn2ask_reward(completions, completion_ids, sample, **columns):
    texts = [reply if isinstance(reply, str) else reply[-1]["content"] for reply in completions]
    cut = [bool(END_IDS) and ids[-1] not in END_IDS for ids in completion_ids]
    return post("/trl", {"samples": sample, "completions": texts, "truncated": cut})["rewards"]
