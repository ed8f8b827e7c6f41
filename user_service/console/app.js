// The frame of the console: what is shown where, and who is logged in.

import { html, render, useEffect, useRef, useState } from './vendor/htm-preact-3.1.1.js';
import { currentToken, follow, onTokenChange, send, sentence, useToken } from './api.js';
import { Live } from './live.js';
import { Users } from './users.js';
import { Tokens } from './tokens.js';

const VIEWS = [
  { path: '#/live', name: 'Live', view: Live },
  { path: '#/users', name: 'Users', view: Users },
  { path: '#/tokens', name: 'Tokens', view: Tokens },
];
const SAMPLES_KEPT = 300;

const viewAt = (hash) => VIEWS.find(({ path }) => path === hash) ?? VIEWS[0];

function useView() {
  const [view, setView] = useState(viewAt(location.hash));
  useEffect(() => {
    const change = () => setView(viewAt(location.hash));
    addEventListener('hashchange', change);
    return () => removeEventListener('hashchange', change);
  }, []);
  return view;
}

function useSamples(token) {
  const samples = useRef([]);
  const [state, setState] = useState('connecting');
  const [, redraw] = useState(0);
  useEffect(() => {
    // What was said of the last token is not true of this one.
    setState('connecting');
    return follow((sample) => {
      samples.current = [...samples.current.slice(1 - SAMPLES_KEPT), sample];
      redraw((count) => count + 1);
    }, setState);
  }, [token]);
  return { samples: samples.current, state };
}

const STATES = { open: 'connected', lost: 'connection lost, trying again', connecting: 'connecting' };

function Connection({ state }) {
  const text = STATES[state] ?? (state.status === 401 || state.status === 403 ? 'login needed' : state.title);
  return html`<span class="pill ${state === 'open' ? 'good' : 'bad'}" role="status">
    <i aria-hidden="true"></i>${text}
  </span>`;
}

function App() {
  const view = useView();
  const [token, setToken] = useState(currentToken());
  useEffect(() => onTokenChange(() => setToken(currentToken())), []);
  const { samples, state } = useSamples(token);
  const heading = useRef(null);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${view.name} · Lockstep console`;
    // A keyboard or a screen reader continues where the new view begins.
    if (!isFirst.current) heading.current?.focus();
    isFirst.current = false;
  }, [view]);
  const needsLogin = state.status === 401 || state.status === 403;
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); heading.current?.focus(); }}>Skip to content</a>
    <header class="bar">
      <div class="brand"><img src="/console/icon.svg" alt="" width="22" height="22" />Lockstep</div>
      <nav aria-label="Views">
        ${VIEWS.map(({ path, name }) => html`<a href=${path} key=${path} aria-current=${path === view.path ? 'page' : null}>${name}</a>`)}
      </nav>
      <div class="end"><${Connection} state=${state} /><${Account} token=${token} /></div>
    </header>
    <main id="main">
      <h1 tabindex="-1" ref=${heading}>${view.name}</h1>
      ${needsLogin && view.path !== '#/tokens'
        ? html`<${Login} isRefused=${state.status === 403} />`
        : html`<${view.view} key=${view.path} samples=${samples} state=${state} token=${token} />`}
    </main>`;
}

function Account({ token }) {
  if (!token) return null;
  return html`<button class="quiet" onClick=${() => useToken(null)}>Forget token</button>`;
}

function Login({ isRefused }) {
  const [refusal, setRefusal] = useState(null);
  const problem = refusal ?? (isRefused ? 'This token is not an administrator’s.' : null);
  const submit = async (event) => {
    event.preventDefault();
    const token = new FormData(event.target).get('token').trim();
    const answer = await send('GET', '/users?limit=1', { token });
    if (answer.ok) useToken(token);
    else setRefusal(sentence(answer.problem));
  };
  return html`<section class="card narrow" aria-labelledby="login-title">
    <h2 id="login-title">An administrator’s token is needed</h2>
    <p>USER_SERVICE_ACCESS is <code>owner</code>. Paste the token from the file <code>admin.token</code> in the data
      directory of user_service, or log in as an administrator at <a href="#/tokens">Tokens</a>.</p>
    <form onSubmit=${submit}>
      <input type="text" autocomplete="username" value="administrator" hidden readonly />
      <label class="field"><span>Token</span>
        <input name="token" type="password" autocomplete="off" required aria-invalid=${problem ? 'true' : null}
          aria-describedby=${problem ? 'login-problem' : null} /></label>
      ${problem && html`<p class="error" id="login-problem" role="alert">${problem}</p>`}
      <button class="primary">Use this token</button>
    </form>
  </section>`;
}

render(html`<${App} />`, document.getElementById('app'));
