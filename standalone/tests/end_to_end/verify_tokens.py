"""Reads a JSON object of tokens, adds forged ones, and prints the verdict of the verifier on each."""
import base64
import json
import sys

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.exceptions import PyJWTError

from verifier import keys, verify

tokens = json.load(sys.stdin)
good = tokens["good"]
header = jwt.get_unverified_header(good)
claims = jwt.decode(good, options={"verify_signature": False})
public_key = keys.get_signing_key_from_jwt(good).key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


_, payload, signature = good.split(".")
tokens["none"] = ".".join([part({**header, "alg": "none"}), payload, ""])
tokens["hs256"] = jwt.encode(claims, public_key, algorithm="HS256", headers=header | {"alg": "HS256"})
tokens["other type"] = ".".join([part({**header, "typ": "JWT"}), payload, signature])
tokens["tampered"] = ".".join([good.split(".")[0], part({**claims, "sub": "2"}), signature])


def verdict(token):
    try:
        return verify(token)["sub"]
    except PyJWTError as refused:
        return type(refused).__name__


print(json.dumps({name: verdict(token) for name, token in tokens.items()}))
