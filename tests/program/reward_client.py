"""The clients of examples/, loaded as their trainers load them."""

import importlib.util
import os
import pathlib
import unittest.mock

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
CLIENTS = ("trl_reward", "openrlhf_reward", "verl_reward")


def example(name, url, token="", patient=True):
    with unittest.mock.patch.dict(os.environ, LEARN2ASK_REWARD_URL=url, LEARN2ASK_TOKEN=token):
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    if not patient:
        module.server.get_adapter(url).max_retries = module.RETRY.new(connect=1, status=0)
    return module
