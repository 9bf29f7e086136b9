"""Advantages of TRL's GRPOTrainer and RLOOTrainer for given rewards.

usage: trl_advantages.py CASES.json OUT.json

CASES: a list of {"trainer" ("grpo" | "rloo"), "scale_rewards" ("group" | "batch" | "none"), "aggregation"
("sum_then_normalize" | "normalize_then_sum"), "group" (replies a prompt), "weights" (one a reward function), "rewards"
(one array a reply, the group's replies one after the other: one number a function, or null for all of them: not scored)}.
OUT: a list of arrays, one number a reply.
"""
import json
import math
import sys
import types
from collections import defaultdict

import torch
import trl


class OneProcess:
    num_processes, process_index = 1, 0
    device = torch.device("cpu")

    def gather(self, x):
        return x

    def reduce(self, x, reduction="sum"):
        return x


def trainer_of(case, rewards):
    """A trainer without model or data: what it reads between sampling and its loss."""
    kind = {"grpo": trl.GRPOTrainer, "rloo": trl.RLOOTrainer}[case["trainer"]]
    trainer = object.__new__(kind)
    trainer.args = types.SimpleNamespace(per_device_train_batch_size=len(rewards), steps_per_generation=1,
                                         gradient_accumulation_steps=1, gradient_checkpointing_kwargs=None)
    trainer.accelerator = OneProcess()
    trainer.model = types.SimpleNamespace(training=True, is_gradient_checkpointing=False)
    trainer._tokenizer = types.SimpleNamespace(pad_token_id=0)
    trainer._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    trainer._logs = {"prompt": [], "completion": [], "advantages": [], "rewards": defaultdict(list), "extra": {}}
    trainer._pending_extra_logs, trainer._pending_metrics = {}, {}
    trainer.environment_factories = trainer.environments = trainer.tools = trainer.pad_to_multiple_of = None
    trainer.mask_truncated_completions = trainer.use_vllm = trainer._is_vlm = trainer.log_multimodal = False
    trainer.num_iterations, trainer.beta, trainer.num_generations = 1, 0.0, case["group"]
    trainer.scale_rewards, trainer.multi_objective_aggregation = case["scale_rewards"], case["aggregation"]
    trainer.reward_clip_range, trainer.normalize_advantages = None, False
    trainer.reward_weights = torch.tensor(case["weights"], dtype=torch.float64)
    trainer.reward_funcs = trainer.reward_func_names = [str(i) for i in range(rewards.shape[1])]
    one = [[1]] * len(rewards)  # prompts and replies of one token each
    generated = (one, one, None, one, None, {}, None, None)  # no tools, no images
    trainer._generate = lambda prompts: generated if kind is trl.GRPOTrainer else (one, one, one)
    trainer._calculate_rewards = lambda *_: rewards
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: (torch.zeros(len(one), 1), None, None)
    return trainer


def advantages_of(case):
    functions = len(case["weights"])
    rewards = torch.tensor([reply or [math.nan] * functions for reply in case["rewards"]], dtype=torch.float64)
    inputs = [{"prompt": ""} for _ in rewards]
    return trainer_of(case, rewards)._generate_and_score_completions(inputs)["advantages"].tolist()


def main(cases_file, out_file):
    out = [advantages_of(case) for case in json.load(open(cases_file))]
    with open(out_file, "w") as file:
        json.dump(out, file)


main(*sys.argv[1:])
