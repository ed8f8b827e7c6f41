"""The application behind the nginx of site.conf. It needs nothing but Python.

    python3 app.py AUTH_SERVICE_URL PORT

`GET /me` answers who has sent the request. It believes `X-User-Id`, which nginx sets, so nobody but nginx may
reach it: it listens on loopback. `POST /session` and `PUT /session` put the token of a login, or of a refresh,
into a cookie that scripts cannot read.
"""

import http.client
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COOKIE = "token={}; Path=/; HttpOnly; Secure; SameSite=Lax"
TO_AUTH_SERVICE = ["Content-Type", "Authorization", "Consistency-Token", "X-Forwarded-For", "X-Request-Id"]
TO_CLIENT = ["Content-Type", "Retry-After", "WWW-Authenticate"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/":
            self.answer(200, {"welcome": "log in with POST /session"})
        elif self.path == "/me":
            # The id stays the same for ever. The name is percent-encoded.
            user_id, name = int(self.headers["X-User-Id"]), unquote(self.headers["X-Username"])
            self.answer(200, {"id": user_id, "username": name})
        else:
            self.answer(404, {"title": "No such path"})

    def do_POST(self):
        self.take_token_from("/login")

    def do_PUT(self):
        self.take_token_from("/refresh")

    def take_token_from(self, path):
        """Passes the request on, and answers with the token in a cookie; with what auth_service says if it refuses."""
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/session":
            return self.answer(404, {"title": "No such path"})
        headers = {name: self.headers[name] for name in TO_AUTH_SERVICE if name in self.headers}
        connection = http.client.HTTPConnection(self.server.auth_service, timeout=30)
        try:
            connection.request("POST", path, content, headers)
            response = connection.getresponse()
            body = json.load(response)
        except (OSError, http.client.HTTPException, ValueError):
            return self.answer(503, {"title": "Nobody can log in now"}, {"Retry-After": "1"})
        finally:
            connection.close()
        if response.status == 200:
            return self.answer(200, {"status": "logged in"}, {"Set-Cookie": COOKIE.format(body["token"])})
        told = {name: response.headers[name] for name in TO_CLIENT if name in response.headers}
        self.answer(response.status, body, told)

    def answer(self, status, body, headers={}):
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass  # nginx writes the access log


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
    server.auth_service = urlsplit(sys.argv[1]).netloc
    print(f"listens on {server.server_port}", flush=True)
    server.serve_forever()
