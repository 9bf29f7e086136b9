# Rewards for OpenRLHF from `learn2ask serve-reward LABELS`. Written for OpenRLHF 0.11.2 (up to 0.10.1 the options are
# --prompt_data, --input_key, --label_key, --apply_chat_template, --remote_rm_url).
#
#   learn2ask export-dataset LABELS --to openrlhf --out prompts.jsonl
#   python -m openrlhf.cli.train_ppo_ray --data.prompt_dataset prompts.jsonl --data.input_key prompt \
#       --data.label_key label --data.apply_chat_template --reward.stop_properly_penalty_coef 0 \
#       --reward.remote_url http://127.0.0.1:8100/openrlhf ...
#
# OpenRLHF asks a URL five times, a second apart, and ends the run over a reply that still has no reward. This file as
# --reward.remote_url has the patience that is said below, and sends the token where the server wants one.
import os

import requests
from urllib3 import Retry

URL = os.environ.get("LEARN2ASK_REWARD_URL", "http://127.0.0.1:8100").rstrip("/")
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


def reward_func(queries, prompts, labels):
    return post("/openrlhf", {"query": list(queries), "prompts": list(prompts), "labels": list(labels)})
