"""A process of its own that answers chats on a port, so that it can be killed: `PORT LOG [SECONDS]`."""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT, LOG, SECONDS = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply({"object": "list", "data": [{"id": "m", "object": "model"}]})

    def do_POST(self):
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        time.sleep(SECONDS)
        with LOG.open("a") as log:
            log.write(f"{prompt}\n")
        message = {"role": "assistant", "content": f"about {prompt}"}
        self.reply({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]})

    def reply(self, content):
        raw = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args):
        """Keep the output clean."""


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
