# Rewards for OpenRLHF from `learn2ask serve-reward LABELS`. Written for OpenRLHF 0.11.2 (up to 0.10.1 the options are
# --prompt_data, --input_key, --label_key, --apply_chat_template, --remote_rm_url).
#
#   learn2ask export-dataset LABELS --to openrlhf --out prompts.jsonl
#   python -m openrlhf.cli.train_ppo_ray --data.prompt_dataset prompts.jsonl --data.input_key prompt \
#       --data.label_key label --data.apply_chat_template --reward.stop_properly_penalty_coef 0 \
#       --reward.remote_url http://127.0.0.1:8100/openrlhf ...
#
# OpenRLHF asks a URL five times, a second apart, and ends the run over a reply that still has no reward. This file as
# --reward.remote_url waits as long as the server asks it to, and sends the token where the server wants one.
import json
import os
import time
import urllib.error
import urllib.request

URL = os.environ.get("LEARN2ASK_REWARD_URL", "http://127.0.0.1:8100")
TOKEN = os.environ.get("LEARN2ASK_TOKEN", "")
PATIENCE_S = 600  # of waiting for a server that is busy or away
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


def reward_func(queries, prompts, labels):
    rewards = post("/openrlhf", {"query": list(queries), "prompts": list(prompts), "labels": list(labels)})
    if None in rewards["rewards"]:
        raise RuntimeError(f"no reward for a reply to {labels}")
    return rewards
