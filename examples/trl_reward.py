# Rewards for TRL's GRPOTrainer from `learn2ask serve-reward LABELS`. Written for TRL 1.16.0. From 1.6.0 on TRL leaves a
# reply without a reward (None) out of its group; earlier versions take it for a reward of 0.
#
#   learn2ask export-dataset LABELS --to trl --out prompts.jsonl
#
#   trl_reward.END_IDS = {tokenizer.eos_token_id}  # a reply that ends otherwise was cut
#   GRPOTrainer(model, reward_funcs=trl_reward.learn2ask_reward, args=GRPOConfig(...),
#               train_dataset=load_dataset("json", data_files="prompts.jsonl")["train"])
import os

import requests
from urllib3 import Retry

URL = os.environ.get("LEARN2ASK_REWARD_URL", "http://127.0.0.1:8100").rstrip("/")
END_IDS = set()  # empty: no reply counts as cut
server = requests.Session()
server.trust_env, server.verify = False, os.environ.get("REQUESTS_CA_BUNDLE", True)  # past any proxy
server.headers["X-Learn2ask-Token"] = os.environ.get("LEARN2ASK_TOKEN", "")
# A server that cannot be reached is looked for through ten minutes. Where an answer breaks off or stays away for so long,
# it is asked twice more, and a busy one (503) three times, when it says so.
RETRY = Retry(None, connect=11, read=2, status=3, other=0, status_forcelist=[503], allowed_methods=None,
              backoff_factor=1, raise_on_status=False)
server.mount(URL, requests.adapters.HTTPAdapter(max_retries=RETRY, pool_maxsize=256))


def post(path, body):
    answer = server.post(URL + path, json=body, timeout=(10, 600), allow_redirects=False)
    if answer.status_code != 200:
        raise RuntimeError(f"{URL}{path}: {answer.status_code} {answer.text}")
    return answer.json()


def learn2ask_reward(completions, completion_ids, sample, **columns):
    texts = [reply if isinstance(reply, str) else reply[-1]["content"] for reply in completions]
    cut = [bool(END_IDS) and ids[-1] not in END_IDS for ids in completion_ids]
    return post("/trl", {"samples": sample, "completions": texts, "truncated": cut})["rewards"]
