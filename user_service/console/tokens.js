// Tokens: log in and out, what a token says, how long it lives, and why one is refused.

import { html, useEffect, useState } from './vendor/htm-preact-3.1.1.js';
import { currentToken, send, sentence, useToken } from './api.js';
import { Field } from './users.js';

const MEANINGS = {
  iss: 'who issued it', sub: 'the user’s id', aud: 'whom it is for', exp: 'when it expires', iat: 'when it was issued',
  nbf: 'not valid before', jti: 'the id of this token', sid: 'the session, which refreshing keeps',
  auth_time: 'when the password was checked', client_id: 'the client that asked for it', username: 'the user’s name when it was issued',
  stamp: 'the security stamp: when the user gets another one, this token ends', scope: 'what else it allows',
};
const TIMES = ['exp', 'iat', 'nbf', 'auth_time'];

/** The parts of a JWT, or null. */
export function decode(token) {
  try {
    const part = (text) => JSON.parse(new TextDecoder().decode(
      Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))));
    const [head, claims, signature] = token.trim().split('.');
    return signature ? { head: part(head), claims: part(claims) } : null;
  } catch {
    return null;
  }
}

/** Why a service refuses a token: what can be seen in the token itself, and else what remains. */
export function reason(decoded, keys, own) {
  if (!decoded) return 'It is not a JWT: three parts of base64url, with dots between them.';
  const { head, claims } = decoded;
  const now = Date.now() / 1000;
  if (!keys.some(({ kid }) => kid === head.kid)) return `No key with the id ${head.kid ?? '(none)'} is published here: another issuer signed it, or its key is gone.`;
  if (head.typ !== 'at+jwt') return `Its type is ${head.typ ?? 'missing'}; access tokens have at+jwt (RFC 9068).`;
  if (claims.exp <= now) return `It expired ${duration(now - claims.exp)} ago.`;
  if (claims.nbf > now) return `It becomes valid in ${duration(claims.nbf - now)}.`;
  if (own && claims.iss !== own.iss) return `Its issuer is ${claims.iss}; the issuer here is ${own.iss}.`;
  return 'Its form, key and time are good. So its signature is wrong, its session was logged out, or its user was deleted or has a new password.';
}

function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min ${rest} s` : `${rest} s`;
}

function useNow() {
  const [now, setNow] = useState(Date.now() / 1000);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now() / 1000), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

export function Tokens({ token }) {
  const [keys, setKeys] = useState({ list: [], problem: null });
  useEffect(() => {
    send('GET', '/console/auth/keys', { token: null }).then((answer) =>
      setKeys(answer.ok ? { list: answer.data.keys, problem: null } : { list: [], problem: answer.problem }));
  }, [token]);
  const own = token && decode(token)?.head.kid;
  return html`<div class="columns">
    <${Session} token=${token} />
    <div class="stack"><${Foreign} keys=${keys.list} />
    <section class="card" aria-labelledby="keys-title"><h2 id="keys-title">Keys</h2>
      ${keys.problem ? html`<p class="error">${sentence(keys.problem)}</p>` : html`<table><thead><tr><th scope="col">Key id</th><th scope="col">Algorithm</th><th scope="col">State</th></tr></thead>
        <tbody>${keys.list.map((key) => html`<tr key=${key.kid}><td><code class="break">${key.kid}</code></td><td>${key.alg}</td><td>${key.kid === own ? html`<span class="pill good"><i aria-hidden="true"></i>signed your token</span>` : 'verifies'}</td></tr>`)}</tbody></table>
        <p class="hint">These keys verify tokens: those that sign, those that will sign next, and those whose tokens have not all expired.</p>`}
    </section></div>
  </div>`;
}

function Session({ token }) {
  const [problem, setProblem] = useState(null);
  const [notice, setNotice] = useState('');
  const logIn = async (event) => {
    event.preventDefault();
    const form = event.target;
    const answer = await send('POST', '/console/auth/login', { token: null, body: Object.fromEntries(new FormData(form)) });
    setProblem(answer.problem);
    if (answer.ok) { setNotice(''); useToken(answer.data.token); }
  };
  const logOut = async () => {
    const answer = await send('POST', '/console/auth/logout');
    setProblem(answer.problem);
    if (answer.ok) { setNotice('Logged out. This token is refused everywhere now.'); useToken(null); }
    else if (answer.status === 401) { setNotice('The token had ended already.'); useToken(null); setProblem(null); }
  };
  const decoded = token && decode(token);
  const general = problem && !problem.members.username && !problem.members.password;
  return html`<section class="card" aria-labelledby="session-title">
    <h2 id="session-title">${token ? 'Your token' : 'Log in'}</h2>
    <p class="notice" role="status">${notice}</p>
    ${general && html`<p class="error" role="alert">${sentence(problem)}</p>`}
    ${token
      ? html`${decoded ? html`<${Claims} decoded=${decoded} />` : html`<p>This is the administrator’s token. It has no claims and does not expire.</p>`}
        <div class="buttons">${decoded && html`<button class="primary" onClick=${logOut}>Log out</button>`}</div>`
      : html`<form onSubmit=${logIn}>
          <${Field} name="username" label="Username" problem=${problem?.members.username} autocomplete="username" />
          <${Field} name="password" label="Password" type="password" problem=${problem?.members.password} autocomplete="off" />
          <div class="buttons"><button class="primary">Log in</button></div></form>`}
  </section>`;
}

function Claims({ decoded: { head, claims } }) {
  const now = useNow();
  const left = claims.exp - now;
  const value = (name) => TIMES.includes(name) ? new Date(claims[name] * 1000).toLocaleString() : typeof claims[name] === 'string' ? claims[name] : JSON.stringify(claims[name]);
  return html`<p class="remaining"><span class="big">${left > 0 ? duration(left) : 'expired'}</span> <span class="hint">${left > 0 ? 'until it expires' : ''}</span></p>
    <progress max=${claims.exp - claims.iat} value=${Math.max(0, left)} aria-label="Time until it expires"></progress>
    <dl class="claims">${Object.keys(claims).map((name) => html`<div key=${name}><dt><code>${name}</code><span class="hint">${MEANINGS[name] ?? ''}</span></dt><dd><bdi class="break">${value(name)}</bdi></dd></div>`)}</dl>
    <p class="hint">Signed with ${head.alg} by the key <code class="break">${head.kid}</code></p>`;
}

function Foreign({ keys }) {
  const [verdict, setVerdict] = useState(null);
  const judge = async (event) => {
    event.preventDefault();
    const token = new FormData(event.target).get('foreign').trim();
    const decoded = decode(token);
    const answer = await send('GET', '/console/auth/verify', { token });
    const own = currentToken() && decode(currentToken())?.claims;
    const text = answer.ok ? 'The token is accepted.'
      : answer.status === 401 ? `Refused. ${reason(decoded, keys, own)}` : sentence(answer.problem);
    setVerdict({ isGood: answer.ok, text, decoded });
  };
  return html`<section class="card" aria-labelledby="foreign-title"><h2 id="foreign-title">Check a token</h2>
    <form onSubmit=${judge}>
      <div class="field"><label for="foreign">Token</label>
        <textarea id="foreign" name="foreign" rows="4" spellcheck=${false} autocomplete="off" required></textarea></div>
      <div class="buttons"><button>Check</button></div></form>
    <div role="status">${verdict && html`<p class=${verdict.isGood ? 'notice' : 'error'}>${verdict.text}</p>`}</div>
    ${verdict?.decoded && html`<${Claims} decoded=${verdict.decoded} />`}
  </section>`;
}
