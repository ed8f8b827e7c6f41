"""A service that verifies tokens by the public keys alone, and honours logouts all the same.

    python service.py AMQP_URL AUTH_SERVICE_URL DATABASE PORT

answers GET /me with the id of the token's user, or 401. No request goes to auth_service, except for its
keys: what ends tokens before they expire comes as events, which `endings.py` keeps. docs/events.md says
what this can rely on and what it cannot see.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

from endings import Endings
from follower import follow

ISSUER = AUDIENCE = "lockstep"  # TOKEN_ISSUER and TOKEN_AUDIENCE
CLAIMS = ["exp", "iat", "nbf", "sub", "jti", "sid", "stamp"]


class Verifier:
    def __init__(self, auth_url, endings):
        self.keys = jwt.PyJWKClient(f"{auth_url}/.well-known/jwks.json", timeout=5)
        self.endings = endings

    def claims_of(self, token):
        """Raises jwt.PyJWTError unless the token is good."""
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":
            raise jwt.InvalidTokenError("not an access token")
        key = self.keys.get_signing_key_from_jwt(token)
        # The algorithm of the key: never that of the token's own header.
        claims = jwt.decode(token, key, algorithms=[key.algorithm_name], issuer=ISSUER, audience=AUDIENCE,
                            leeway=5, options={"require": CLAIMS})
        if self.endings.have_ended(claims):
            raise jwt.InvalidTokenError("its session has ended")
        return claims


def handler(verifier):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            if self.path != "/me":
                return self.answer(404, {"error": "no such path"})
            try:
                if scheme.lower() != "bearer":
                    raise jwt.InvalidTokenError("no token")
                self.answer(200, {"id": int(verifier.claims_of(token)["sub"])})
            except jwt.PyJWKClientConnectionError:
                self.answer(503, {"error": "the keys cannot be read"}, {"Retry-After": "1"})
            except jwt.PyJWTError:
                self.answer(401, {"error": "log in"}, {"WWW-Authenticate": "Bearer"})

        def answer(self, status, body, headers={}):
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Type": "application/json"}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass  # a proxy in front writes the access log

    return Handler


def main():
    amqp_url, auth_url, database, port = sys.argv[1:]
    endings = Endings(database)
    bound = threading.Event()
    threading.Thread(target=follow, args=(amqp_url, endings, bound), daemon=True).start()
    bound.wait()  # from here on no ending is missed
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), handler(Verifier(auth_url, endings)))
    print(f"listens on {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
