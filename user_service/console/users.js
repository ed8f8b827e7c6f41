// The users: search, pages, and every change of one.

import { html, useEffect, useRef, useState } from './vendor/htm-preact-3.1.1.js';
import { send, sentence } from './api.js';

const PAGE = 25;

/** One page of users, or the one with a name. */
async function load({ after, name }) {
  const query = name ? `username=${encodeURIComponent(name)}` : `limit=${PAGE}&after=${after}`;
  const answer = await send('GET', `/users?${query}`);
  return { ...answer, hasNext: (answer.headers.get('link') ?? '').includes('rel="next"') };
}

export function Users() {
  const [name, setName] = useState('');
  // The ids after which the pages begin, up to the present page.
  const [starts, setStarts] = useState([0]);
  const [page, setPage] = useState({ users: null, hasNext: false, problem: null });
  const [notice, setNotice] = useState('');
  const [dialog, setDialog] = useState(null);
  const after = starts.at(-1);
  const refresh = async () => {
    const answer = await load({ after, name });
    setPage(answer.ok
      ? { users: answer.data, hasNext: answer.hasNext, problem: null }
      : { users: null, hasNext: false, problem: answer.problem });
  };
  useEffect(() => { refresh(); }, [after, name]);
  const search = (event) => {
    event.preventDefault();
    setStarts([0]);
    setName(new FormData(event.target).get('name').trim());
  };
  const done = (text) => { setDialog(null); setNotice(text); refresh(); };
  const open = (kind, user) => setDialog({ kind, user });
  return html`<div class="view">
    <div class="tools">
      <form role="search" onSubmit=${search} class="search">
        <label class="hidden" for="search">Exact username</label>
        <input id="search" name="name" type="search" placeholder="Exact username" autocomplete="off" spellcheck=${false} />
        <button>Search</button>
      </form>
      <button class="primary" onClick=${() => open('create')}>Create user</button>
    </div>
    <p class="notice" role="status">${notice && html`<bdi>${notice}</bdi>`}</p>
    ${page.problem
      ? html`<div class="card error-box" role="alert"><p>${sentence(page.problem)}</p><button onClick=${refresh}>Try again</button></div>`
      : html`<${Table} users=${page.users} name=${name} open=${open} />`}
    ${!name && (starts.length > 1 || page.hasNext) && html`<nav class="pages" aria-label="Pages">
      <button disabled=${starts.length === 1} onClick=${() => setStarts(starts.slice(0, -1))}>Previous</button>
      <span>Page ${starts.length}</span>
      <button disabled=${!page.hasNext} onClick=${() => setStarts([...starts, page.users.at(-1).id])}>Next</button>
    </nav>`}
    ${dialog && html`<${DIALOGS[dialog.kind]} user=${dialog.user} close=${() => setDialog(null)} done=${done} />`}
  </div>`;
}

function Table({ users, name, open }) {
  if (!users) return html`<p class="empty">Loading…</p>`;
  if (users.length === 0) {
    return html`<p class="empty">${name ? 'Nobody has this name. The search finds whole names only, in upper or lower case.' : 'There are no users here yet.'}</p>`;
  }
  return html`<div class="card flush"><table class="users">
    <thead><tr><th scope="col" class="number">Id</th><th scope="col">Username</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
    <tbody>${users.map((user) => html`<tr key=${user.id}>
      <td class="number">${user.id}</td>
      <th scope="row"><bdi>${user.username}</bdi></th>
      <td class="actions">
        ${[['rename', 'Rename'], ['password', 'Password'], ['remove', 'Delete']].map(([kind, text]) => html`
          <button class="quiet ${kind === 'remove' ? 'danger' : ''}" aria-label=${`${text}: ${user.username}`} onClick=${() => open(kind, user)}>${text}</button>`)}
      </td></tr>`)}</tbody>
  </table></div>`;
}

/** A dialog with a form. Fields that are at fault are named by the problem of the service. */
function FormDialog({ title, fields = [], action, danger, close, send: submit, children }) {
  const dialog = useRef(null);
  const [problem, setProblem] = useState(null);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => { dialog.current.showModal(); }, []);
  const onSubmit = async (event) => {
    event.preventDefault();
    const { target } = event;
    setBusy(true);
    const found = await submit(Object.fromEntries(new FormData(target)));
    setBusy(false);
    setProblem(found);
    const first = found && fields.find(({ name }) => found.members[name]);
    if (first) target.elements[first.name].focus();
  };
  const general = problem && !fields.some(({ name }) => problem.members[name]);
  return html`<dialog ref=${dialog} onClose=${close} aria-labelledby="dialog-title">
    <form onSubmit=${onSubmit} novalidate>
      <h2 id="dialog-title">${title}</h2>
      ${children}
      ${fields.map((field) => html`<${Field} key=${field.name} ...${field} problem=${problem?.members[field.name]} />`)}
      ${general && html`<p class="error" role="alert">${sentence(problem)}</p>`}
      <div class="buttons">
        <button type="button" onClick=${() => dialog.current.close()}>Cancel</button>
        <button class=${danger ? 'primary danger' : 'primary'} disabled=${isBusy}>${action}</button>
      </div>
    </form>
  </dialog>`;
}

export function Field({ name, label, type = 'text', value = '', hint, problem, autocomplete = 'off' }) {
  const note = `${name}-note`;
  return html`<div class="field">
    <label for=${`field-${name}`}>${label}</label>
    <input id=${`field-${name}`} name=${name} type=${type} defaultValue=${value} autocomplete=${autocomplete} spellcheck=${false}
      autocapitalize="none" aria-invalid=${problem ? 'true' : null} aria-describedby=${problem || hint ? note : null} />
    ${(problem || hint) && html`<p id=${note} class=${problem ? 'error' : 'hint'}>${problem ?? hint}</p>`}
  </div>`;
}

function Create({ close, done }) {
  const create = async ({ username, password }) => {
    const answer = await send('POST', '/users', { body: { username, password } });
    if (!answer.ok) return placed(answer.problem);
    done(`Created ${answer.data.username}`);
    return null;
  };
  return html`<${FormDialog} title="Create a user" action="Create" close=${close} send=${create} fields=${[
    { name: 'username', label: 'Username' },
    { name: 'password', label: 'Password', type: 'password', autocomplete: 'new-password' },
  ]} />`;
}

function Rename({ user, close, done }) {
  const rename = async ({ username }) => {
    const answer = await send('PUT', `/users/${user.id}`, { body: { username } });
    if (!answer.ok) return placed(answer.problem);
    done(`Renamed ${user.username} to ${answer.data.username}`);
    return null;
  };
  return html`<${FormDialog} title="Rename" action="Rename" close=${close} send=${rename}
    fields=${[{ name: 'username', label: 'New username', value: user.username }]} />`;
}

function Password({ user, close, done }) {
  const change = async ({ password, current_password: current }) => {
    const body = current ? { password, current_password: current } : { password };
    const answer = await send('PUT', `/users/${user.id}`, { body });
    if (!answer.ok) return placed(answer.problem);
    done(`Changed the password of ${user.username}`);
    return null;
  };
  return html`<${FormDialog} title="Change the password" action="Change password" close=${close} send=${change} fields=${[
    { name: 'current_password', label: 'Current password', type: 'password', hint: 'Not needed if you are logged in as an administrator.' },
    { name: 'password', label: 'New password', type: 'password', autocomplete: 'new-password' },
  ]}>
    <input name="of" type="text" autocomplete="username" value=${user.username} hidden readonly />
    <p class="hint">All tokens of <bdi>${user.username}</bdi> end.</p></${FormDialog}>`;
}

function Remove({ user, close, done }) {
  const remove = async () => {
    const answer = await send('DELETE', `/users/${user.id}`);
    if (!answer.ok && answer.status !== 404) return answer.problem;
    done(`Deleted ${user.username}`);
    return null;
  };
  return html`<${FormDialog} title="Delete this user?" action="Delete" danger close=${close} send=${remove}>
    <p><bdi class="strong">${user.username}</bdi> (id ${user.id}) can no longer log in, and all tokens end. This cannot be undone.</p>
  </${FormDialog}>`;
}

const DIALOGS = { create: Create, rename: Rename, password: Password, remove: Remove };

/** Some problems are about one field and do not name it: the status does. */
function placed(problem) {
  const isAboutName = problem.status === 409 && !problem.members.username;
  return isAboutName ? { ...problem, members: { ...problem.members, username: problem.detail } } : problem;
}
