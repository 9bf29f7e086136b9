# Rewards for veRL from `learn2ask serve-reward LABELS`. Written for veRL 0.9.1; before 0.7.1 the setting is
# custom_reward_function.path.
#
#   learn2ask export-dataset LABELS --to verl --out prompts.parquet
#   python -m verl.trainer.main_ppo data.train_files=prompts.parquet \
#       reward.custom_reward_function.path=verl_reward.py ...
#
# It raises for a reply that gets no reward: veRL 0.9.1 leaves the reply out, 0.8.0 ends the run. Leave
# reward.reward_manager.name at naive: rate_limited would make the error a reward of 0.
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


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **settings):
    return float(post("/verl", {"ground_truths": [ground_truth], "solution_strs": [solution_str]})["scores"][0])


def compute_scores(data_sources, solution_strs, ground_truths, extra_infos=None, **settings):
    """The same for reward_model.reward_manager=batch of veRL up to 0.7.0."""
    scores = post("/verl", {"ground_truths": list(ground_truths), "solution_strs": list(solution_strs)})["scores"]
    return [float(score) for score in scores]
