// A service that verifies tokens itself, and asks auth_service where a logout has to count at once.
//
//     AUTH_SERVICE_URL=http://127.0.0.1:8002 PORT=3001 node service.js
//
// GET /me needs no request to auth_service but for its keys, and takes a logged-out token until it expires.
// POST /payments asks auth_service each time: no logged-out token pays.

import { createServer } from 'node:http';
import { verify } from './verifier.js';

const auth = process.env.AUTH_SERVICE_URL ?? 'http://127.0.0.1:8002';

class Refused extends Error {}

function tokenOf(request) {
  const [, token] = /^bearer ([^ ]+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (!token) throw new Refused('no token');
  return token;
}

/** The user's id, by the public keys alone. */
async function idByKeys(token) {
  try {
    return (await verify(token)).sub;
  } catch (error) {
    // The others tell that the keys cannot be read: that says nothing of the token.
    const isTheToken = /^ERR_(JWT_|JWS_|JOSE_ALG_|JOSE_NOT_SUPPORTED|JWKS_NO_MATCHING_KEY)/.test(error.code);
    throw isTheToken ? new Refused(error.message) : error;
  }
}

/** The user's id, as auth_service says at this moment. */
async function idByAsking(token) {
  const answer = await fetch(new URL('/verify', auth), {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(3000),
  });
  if (answer.status === 401) throw new Refused('auth_service refuses the token');
  if (!answer.ok) throw new Error(`auth_service answers ${answer.status}`);
  return answer.headers.get('x-user-id');
}

const routes = { 'GET /me': idByKeys, 'POST /payments': idByAsking };

const server = createServer(async (request, response) => {
  const answer = (status, body, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
  const identify = routes[`${request.method} ${request.url}`];
  if (!identify) return answer(404, { error: 'no such path' });
  try {
    return answer(200, { id: Number(await identify(tokenOf(request))) });
  } catch (error) {
    if (error instanceof Refused) return answer(401, { error: 'log in' }, { 'www-authenticate': 'Bearer' });
    return answer(503, { error: 'nobody can be identified now' }, { 'retry-after': '1' });
  }
});
server.listen(Number(process.env.PORT ?? 3001), '127.0.0.1', () => console.log(`listens on ${server.address().port}`));
