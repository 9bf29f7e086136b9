# Rewards for veRL from `learn2ask serve-reward LABELS`. Written for veRL 0.9.1; before 0.7.1 the setting is
# custom_reward_function.path.
#
#   learn2ask export-dataset LABELS --to verl --out prompts.parquet
#   python -m verl.trainer.main_ppo data.train_files=prompts.parquet \
#       reward.custom_reward_function.path=verl_reward.py ...
#
# It raises for a reply that gets no reward: veRL 0.9.1 leaves the reply out, 0.8.0 ends the run. Leave
# reward.reward_manager.name at naive: rate_limited would make the error a reward of 0.
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


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **settings):
    return float(post("/verl", {"ground_truths": [ground_truth], "solution_strs": [solution_str]})["scores"][0])


# The same for reward_model.reward_manager=batch of veRL up to 0.7.0.
def compute_scores(data_sources, solution_strs, ground_truths, extra_infos=None, **settings):
    scores = post("/verl", {"ground_truths": list(ground_truths), "solution_strs": list(solution_strs)})["scores"]
    return [float(score) for score in scores]
