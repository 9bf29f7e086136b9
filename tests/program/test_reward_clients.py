"""The clients of examples/ ask again what may come right, and raise for the rest: they never make up a number."""

import http.server
import json
import socket
import struct
import threading
import time
import unittest
import unittest.mock

import requests

from ports import reserved_port
from reward_client import CLIENTS, example

SCORED = (200, {}, {"rewards": [3.5], "scores": [3.5]})  # what each client understands
BUSY = (503, {"Retry-After": "1"}, {"error": "the judge is away"})
RESET = "reset"


class ScriptedServer(http.server.ThreadingHTTPServer):
    """Answers the first request with the first of `script`, and so on; `asked` are the requests' headers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            step = self.server.script[len(self.server.asked)]
            self.server.asked.append(self.headers)
            if step == RESET:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            status, headers, body = step
            body = json.dumps(body).encode()
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    daemon_threads = True

    def __init__(self, script, port=0):
        super().__init__(("127.0.0.1", port), self.Handler)
        self.script, self.asked = script, []
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass  # a connection that was reset cannot be closed once more

    def close(self):
        self.shutdown()
        self.server_close()


def ask(client):
    """The reward of one reply, by the function that the trainer calls."""
    if client.__name__ == "trl_reward":
        return client.learn2ask_reward(completions=["Why?"], completion_ids=[[1]], sample=["1/1"])[0]
    if client.__name__ == "openrlhf_reward":
        return client.reward_func(["Since when? Why?"], ["Since when?"], ["1/1"])["rewards"][0]
    return client.compute_score("learn2ask", "Why?", "1/1")


class RewardClientsTest(unittest.TestCase):
    def serve(self, *script, port=0):
        server = ScriptedServer(script, port)
        self.addCleanup(server.close)
        return server

    def test_what_breaks_off_or_is_busy_is_asked_again_when_the_server_says(self):
        for name in CLIENTS:
            with self.subTest(name):
                server = self.serve(RESET, BUSY, BUSY, SCORED)
                begin = time.monotonic()
                self.assertEqual(ask(example(name, server.url + "/")), 3.5)
                self.assertGreaterEqual(time.monotonic() - begin, 2)  # twice what Retry-After says
                self.assertEqual(len(server.asked), 4)

    def test_a_server_that_starts_late_is_waited_for(self):
        port = reserved_port(self)
        late = threading.Timer(2, lambda: self.serve(SCORED, port=port))
        late.start()
        self.addCleanup(late.join)
        self.assertEqual(ask(example("verl_reward", f"http://127.0.0.1:{port}")), 3.5)

    def test_what_stays_busy_raises(self):
        server = self.serve(*[BUSY] * 4)
        with self.assertRaisesRegex(RuntimeError, "503.*the judge is away"):
            ask(example("verl_reward", server.url))
        self.assertEqual(len(server.asked), 4)

    def test_a_refusal_raises_at_once_with_what_the_server_says(self):
        elsewhere = self.serve()
        moved = {"Location": elsewhere.url + "/verl"}
        for status, headers in ((400, {}), (401, {}), (404, {}), (500, {}), (302, moved), (307, moved), (204, {})):
            for name in CLIENTS:
                with self.subTest(name, status=status):
                    server = self.serve((status, headers, {"error": "not so"}))
                    with self.assertRaisesRegex(RuntimeError, f"{status} .*{'' if status == 204 else 'not so'}"):
                        ask(example(name, server.url, "t0ken"))
                    self.assertEqual([headers["X-Learn2ask-Token"] for headers in server.asked], ["t0ken"])
        self.assertEqual(elsewhere.asked, [])  # nor does the token go anywhere else

    def test_a_server_without_tls_raises_at_once(self):
        server = self.serve()
        with self.assertRaises(requests.exceptions.SSLError):
            ask(example("verl_reward", server.url.replace("http:", "https:")))

    def test_nobody_there_raises(self):
        url = f"http://127.0.0.1:{reserved_port(self)}"
        for name in CLIENTS:
            with self.subTest(name), self.assertRaisesRegex(requests.ConnectionError, "refused"):
                ask(example(name, url, patient=False))

    def test_no_proxy_is_asked(self):
        proxy, server = self.serve(), self.serve(SCORED)
        with unittest.mock.patch.dict("os.environ", http_proxy=proxy.url, HTTP_PROXY=proxy.url):
            self.assertEqual(ask(example("verl_reward", server.url)), 3.5)
        self.assertEqual(proxy.asked, [])
