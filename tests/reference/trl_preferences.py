"""Losses of TRL's DPOTrainer and KTOTrainer on given tensors, and their gradients by each token's log-probability.

usage: trl_preferences.py CASES.json OUT.json

CASES: a list of {"kind": "dpo" | "ipo" | "kto", "beta", "sft_weight", "kl", "desirable_weight", "undesirable_weight",
"replies"}, each reply {"log_prob" (an array, one number a token), "reference" (their sum by the start model), "good"};
in pairs for all but kto, the chosen one first.
OUT: a list of {"loss", "gradient"}, the gradient with the replies one after the other.
"""
import json
import sys
import types
from collections import defaultdict

import torch
import trl


class OneProcess:
    num_processes = 1
    device = torch.device("cpu")

    def gather(self, x):
        return x

    def gather_for_metrics(self, x):
        return x


class Given:
    """In a model's place: says the log-probabilities that it was given, 0 where there is no target."""

    training = True
    config = types.SimpleNamespace(model_type="given")

    def __init__(self, log_probs):
        self.log_probs = log_probs

    def __call__(self, labels, **_):
        nothing = torch.zeros_like(self.log_probs).detach()
        return types.SimpleNamespace(log_probs=self.log_probs, entropy=nothing, mean_logits=nothing,
                                     is_top1=nothing.bool())


def trainer_of(case, kind, model):
    """A trainer without model or data: the settings that its loss reads."""
    trainer = object.__new__(kind)
    trainer.model, trainer.accelerator, trainer.beta = model, OneProcess(), case["beta"]
    trainer._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    trainer._total_train_tokens, trainer._tp_size = 0, 1
    trainer.aux_loss_enabled, trainer.precompute_ref_logps = False, True
    trainer.ld_alpha, trainer.use_weighting, trainer.f_divergence_type = None, False, "reverse_kl"
    trainer.label_smoothing = 0.0
    trainer.loss_types, trainer.loss_weights = [{"dpo": "sigmoid"}.get(case["kind"], case["kind"])], [1.0]
    if case["sft_weight"] > 0:
        trainer.loss_types, trainer.loss_weights = trainer.loss_types + ["sft"], [1.0, case["sft_weight"]]
    if case["kind"] == "kto":
        trainer.loss_type, trainer.calculate_KL = "kto", True
        trainer.desirable_weight, trainer.undesirable_weight = case["desirable_weight"], case["undesirable_weight"]
        # The estimate itself is ours, from the policy's own replies.
        trainer._compute_kl_logps = lambda *_: torch.tensor([case["kl"]], dtype=torch.float64)
    return trainer


def loss_of(case):
    replies = case["replies"]
    if case["kind"] != "kto":
        replies = replies[::2] + replies[1::2]
    rows = [torch.tensor(reply["log_prob"], dtype=torch.float64) for reply in replies]
    log_probs = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).requires_grad_(True)
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(log_probs.shape[1]) < lengths[:, None]
    completion = torch.cat([torch.zeros(len(rows), 1, dtype=torch.long), mask.long()], 1)
    reference = torch.tensor([reply["reference"] for reply in replies], dtype=torch.float64)
    ids = torch.zeros_like(completion)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "completion_mask": completion}
    model = Given(log_probs)
    if case["kind"] == "kto":
        inputs |= {"label": torch.tensor([reply["good"] for reply in replies]), "ref_logps": reference,
                   "ref_KL_logps": torch.zeros(1, dtype=torch.float64)}
        loss = trainer_of(case, trl.KTOTrainer, model)._compute_loss(model, inputs, False)
    else:
        chosen, rejected = reference.chunk(2)
        inputs |= {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        loss = trainer_of(case, trl.DPOTrainer, model)._compute_loss(model, inputs, False)
    loss.backward()
    gradients = [log_probs.grad[i, :n].tolist() for i, n in enumerate(lengths)]
    if case["kind"] != "kto":
        half = len(gradients) // 2
        gradients = [g for pair in zip(gradients[:half], gradients[half:]) for g in pair]
    return {"loss": loss.item(), "gradient": [x for row in gradients for x in row]}


def main(cases_file, out_file):
    out = [loss_of(case) for case in json.load(open(cases_file))]
    with open(out_file, "w") as file:
        json.dump(out, file)


main(*sys.argv[1:])
