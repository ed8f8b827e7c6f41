"""Reads a token a line, and prints the user's id or the class of the error for each, as PyJWT finds them
with the keys of the address in the first argument."""
import sys

import jwt

keys = jwt.PyJWKClient(sys.argv[1], lifespan=300)

for line in sys.stdin:
    try:
        key = keys.get_signing_key_from_jwt(line.strip()).key
        claims = jwt.decode(line.strip(), key, ["EdDSA"], audience="lockstep", issuer="lockstep", leeway=5)
        print(claims["sub"], flush=True)
    except jwt.exceptions.PyJWTError as refused:
        print(type(refused).__name__, flush=True)
