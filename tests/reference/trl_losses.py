"""The loss of TRL's GRPOTrainer or RLOOTrainer on given tensors, and its gradient by each token's log-probability and entropy.

usage: trl_losses.py CASES.json OUT.json

CASES: a list of {"loss_type" (GRPOTrainer's, or "rloo"), "level", "epsilon", "epsilon_high", "beta", "entropy_weight",
"longest", "rows"}, each row of {"log_prob", "old", "reference", "entropy" (arrays, one number a token), "advantage"}.
OUT: a list of {"loss", "gradient", "entropy_gradient"}, the gradients with the rows one after the other.
"""
import json
import sys
import types
from collections import defaultdict

import torch
import trl


class OneProcess:
    num_processes = 1
    sync_gradients = True

    def gather(self, x):
        return x

    def gather_for_metrics(self, x):
        return x

    def reduce(self, x, reduction="sum"):
        return x


def trainer_of(case):
    """A trainer without model or data: the settings that its loss reads."""
    trainer = object.__new__(trl.RLOOTrainer if case["loss_type"] == "rloo" else trl.GRPOTrainer)
    trainer.args = types.SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1)
    trainer.accelerator = OneProcess()
    trainer.model = types.SimpleNamespace(training=True)
    trainer._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    trainer.current_gradient_accumulation_steps = 1
    trainer.aux_loss_enabled = trainer.use_vllm = trainer.use_adaptive_entropy = False
    trainer._entropy_bonus_enabled, trainer.entropy_coef = case["entropy_weight"] > 0, case["entropy_weight"]
    trainer.top_entropy_quantile = 1.0
    trainer.off_policy_mask_threshold = None
    trainer.loss_type, trainer.importance_sampling_level = case["loss_type"], case["level"]
    trainer.epsilon_low, trainer.epsilon_high = case["epsilon"], case["epsilon_high"]
    trainer.beta, trainer.max_completion_length = case["beta"], case["longest"]
    return trainer


def padded(rows, key):
    values = [torch.tensor(row[key], dtype=torch.float64) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(values, batch_first=True)


def main(cases_file, out_file):
    out = []
    for case in json.load(open(cases_file)):
        rows = case["rows"]
        log_probs = padded(rows, "log_prob").requires_grad_(True)
        entropies = padded(rows, "entropy").requires_grad_(True)
        lengths = torch.tensor([len(row["log_prob"]) for row in rows])
        mask = (torch.arange(log_probs.shape[1]) < lengths[:, None]).to(torch.float64)
        prompt = torch.zeros(len(rows), 1, dtype=torch.long)
        trainer = trainer_of(case)
        trainer._get_per_token_logps_and_entropies = lambda *_, **__: (log_probs, entropies, None)
        old = padded(rows, "old")
        loss = trainer._compute_loss(trainer.model, {
            "prompt_ids": prompt, "prompt_mask": torch.ones_like(prompt),
            "completion_ids": torch.zeros(mask.shape, dtype=torch.long), "completion_mask": mask,
            "advantages": torch.tensor([row["advantage"] for row in rows], dtype=torch.float64),
            "old_per_token_logps": old, "old_logps": (old * mask).sum(1),
            "ref_per_token_logps": padded(rows, "reference"),
            "num_items_in_batch": mask.sum()})
        loss.backward()
        gradients = [torch.zeros_like(x) if x.grad is None else x.grad for x in (log_probs, entropies)]
        out.append({"loss": loss.item(), "gradient": gradients[0][mask.bool()].tolist(),
                    "entropy_gradient": gradients[1][mask.bool()].tolist()})
    with open(out_file, "w") as file:
        json.dump(out, file)


main(*sys.argv[1:])
