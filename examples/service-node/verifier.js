import { createRemoteJWKSet, jwtVerify } from 'jose';

const auth = process.env.AUTH_SERVICE_URL ?? 'http://127.0.0.1:8002';
const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', auth));

export async function verify(token) {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: ['EdDSA'], // never from the token's own header
    typ: 'at+jwt',
    issuer: 'lockstep', // TOKEN_ISSUER
    audience: 'lockstep', // TOKEN_AUDIENCE
    clockTolerance: 5,
    requiredClaims: ['exp', 'iat', 'nbf', 'sub', 'jti'],
  });
  return payload;
}
