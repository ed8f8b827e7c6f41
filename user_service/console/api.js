// Requests to the services. Tokens and passwords are in the memory of this page and nowhere else.

const session = { token: null };
const listeners = new Set();

/** The token that requests are sent with, or null. */
export const currentToken = () => session.token;

/** Sets the token, or forgets it with null, and tells those who watch. */
export function useToken(token) {
  session.token = token;
  listeners.forEach((listener) => listener());
}

/** Calls the function whenever the token changes; returns what ends that. */
export function onTokenChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const unreachable = {
  title: 'The service cannot be reached',
  detail: 'user_service does not answer. It may be starting again: try once more in a moment.',
};

/**
 * Sends a request. The answer is { ok, status, data, headers, problem }: a problem has title, detail,
 * and errors by the name of the member at fault.
 */
export async function send(method, path, { body, token = session.token, headers = {} } = {}) {
  const all = { ...headers };
  if (token) all.authorization = `Bearer ${token}`;
  if (body !== undefined) all['content-type'] = 'application/json';
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      headers: all,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
    });
    text = await response.text();
  } catch {
    return { ok: false, status: 0, data: null, headers: new Headers(), problem: problemOf(0, unreachable) };
  }
  const data = parse(text);
  const problem = response.ok ? null : problemOf(response.status, data);
  return { ok: response.ok, status: response.status, data, headers: response.headers, problem };
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

function problemOf(status, document) {
  const { title = `The service answered ${status}`, detail = '', errors = [] } = document ?? {};
  const members = Object.fromEntries(errors.map((error) => [error.pointer.replace(/^\//, ''), error.detail]));
  return { status, title, detail, members };
}

/** What went wrong, as one sentence. */
export const sentence = (problem) =>
  problem.detail ? `${problem.title}: ${problem.detail}` : problem.title;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The last sample that this page has. Another token does not make it unknown.
const position = { last: null };

/**
 * Reads the samples, and starts again where it stopped whenever the stream ends. EventSource is not
 * used because it cannot send a token. `onState` gets 'open', 'lost', or a problem.
 */
export function follow(onSample, onState) {
  const stopping = new AbortController();
  const run = async () => {
    while (!stopping.signal.aborted) {
      try {
        await readStream(onSample, onState, stopping.signal);
      } catch {
        // The stream broke: the next one continues it.
      }
      if (!stopping.signal.aborted) {
        await pause(1000);
      }
    }
  };
  run();
  return () => stopping.abort();
}

async function readStream(onSample, onState, signal) {
  const headers = position.last ? { 'last-event-id': position.last } : {};
  if (session.token) headers.authorization = `Bearer ${session.token}`;
  let response;
  try {
    response = await fetch('/console/events', { headers, signal, cache: 'no-store' });
  } catch {
    if (!signal.aborted) onState('lost');
    return;
  }
  if (!response.ok) {
    onState(problemOf(response.status, parse(await response.text())));
    return;
  }
  onState('open');
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const events = (rest + value).split('\n\n');
      rest = events.pop();
      for (const event of events) {
        const fields = Object.fromEntries(event.split('\n').map((line) => line.split(/: (.*)/s, 2)));
        position.last = fields.id;
        onSample(JSON.parse(fields.data));
      }
    }
  } finally {
    if (!signal.aborted) onState('lost');
  }
}
