// The living picture: what flows from one service to the other, and how fast.

import { html, useEffect, useRef } from './vendor/htm-preact-3.1.1.js';

const number = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const shown = (value) => (value === undefined || Number.isNaN(value) ? '–' : number.format(value));

/** The sum of figures whose name begins so. */
const total = (figures, prefix, accept) => Object.entries(figures)
  .filter(([name]) => name.startsWith(prefix) && accept(name.slice(prefix.length)))
  .reduce((all, [, value]) => all + value, 0);

/** The figures of this service and of each replica that answered, by its address. */
const sources = ({ figures, replicas }) => new Map([
  ['', figures],
  ...replicas.filter(({ problem }) => !problem).map((replica) => [replica.address, replica.figures]),
]);

/**
 * How much the counters whose name begins so grew per second. A process counts from the second time that it is
 * heard, or all that it ever counted would be a peak. A counter that fell began anew with its process.
 */
function rates(samples, prefix, accept = () => true) {
  return samples.map((sample, index) => {
    const before = samples[index - 1];
    if (!before) return null;
    const seconds = (sample.time_ms - before.time_ms) / 1000;
    const known = sources(before);
    const grown = [...sources(sample)]
      .filter(([source]) => known.has(source))
      .map(([source, figures]) => Math.max(0, total(figures, prefix, accept) - total(known.get(source), prefix, accept)));
    return grown.reduce((all, one) => all + one, 0) / Math.max(seconds, 0.001);
  });
}

const published = (sample) => sample.figures.user_log_published_seq;
const head = (sample) => sample.figures.user_log_head_seq;
const slowest = (sample) => {
  const places = sample.replicas.map(({ figures }) => figures.projection_seq).filter((seq) => seq !== undefined);
  return places.length ? Math.min(...places) : undefined;
};
const behind = (sample) => (slowest(sample) === undefined ? null : Math.max(0, head(sample) - slowest(sample)));
const isRefusal = (status) => ['429', '503', '507'].includes(status);

export function Live({ samples, state }) {
  const last = samples.at(-1);
  if (!last) {
    const text = state === 'lost' ? 'user_service cannot be reached. Trying again…' : 'Waiting for the first figures…';
    return html`<p class="empty">${text}</p>`;
  }
  const times = samples.map(({ time_ms: ms }) => ms / 1000);
  const logins = (wanted) => rates(samples, 'logins_total:', wanted);
  const waits = samples.map((sample, index) => {
    const before = samples[index - 1];
    if (!before) return null;
    const count = sample.figures.hash_wait_seconds_count - before.figures.hash_wait_seconds_count;
    const sum = sample.figures.hash_wait_seconds_sum - before.figures.hash_wait_seconds_sum;
    return count > 0 ? (1000 * sum) / count : 0;
  });
  return html`<div class="view">
    <${Flow} sample=${last} isStale=${state !== 'open'} />
    <${Problems} list=${last.problems} />
    <div class="plots">
      <${Plot} title="Log" unit="records" times=${times} series=${[
        ['last record', samples.map(head), 'a'], ['confirmed by the broker', samples.map(published), 'c'], ['applied by the slowest replica', samples.map(slowest), 'b'],
      ]} />
      <${Plot} title="Backlog" unit="records" times=${times} zero series=${[
        ['not confirmed by the broker', samples.map((sample) => sample.figures.user_log_publish_lag_records), 'd'],
        ['not applied by the slowest replica', samples.map(behind), 'b'],
      ]} />
      <${Plot} title="Logins" unit="per second" times=${times} zero series=${[
        ['succeeded', logins((result) => result === 'success' || result === 'ok'), 'b'],
        ['failed', logins((result) => result !== 'success' && result !== 'ok'), 'd'],
      ]} />
      <${Plot} title="Writes" unit="per second" times=${times} zero series=${[
        ['users changed', rates(samples, 'user_writes_total'), 'a'],
      ]} />
      <${Plot} title="Hashing queue" unit="ms" times=${times} zero series=${[['mean wait for a thread', waits, 'c']]} />
      <${Plot} title="Refusals" unit="per second" times=${times} zero series=${[
        ['answers with 429, 503 or 507', rates(samples, 'http_requests_total:', isRefusal), 'd'],
      ]} />
    </div>
  </div>`;
}

function Problems({ list }) {
  if (list.length === 0) return null;
  return html`<section class="card warn" aria-labelledby="problems"><h2 id="problems">What user_service reports</h2>
    <ul>${list.map((text) => html`<li key=${text}>${text}</li>`)}</ul></section>`;
}

function Flow({ sample, isStale }) {
  const { broker, figures, replicas } = sample;
  const lag = figures.user_log_publish_lag_records ?? 0;
  return html`<section class="flow ${isStale ? 'stale' : ''}" aria-label="From the log to the replicas">
    <div class="card node">
      <h2>user_service</h2>
      <p class="big" id="head">${shown(head(sample))}</p><p class="hint">last record of the log</p>
    </div>
    <div class="pipe ${broker.is_connected ? 'running' : 'broken'}" aria-hidden="true"></div>
    <div class="card node ${broker.is_connected ? '' : 'bad'}">
      <h2>${broker.is_needed ? 'Broker' : 'In-process bus'}</h2>
      <p class="big" id="backlog">${shown(lag)}</p>
      <p class="hint">records that wait to be published</p>
      <span class="pill ${broker.is_connected ? 'good' : 'bad'}"><i aria-hidden="true"></i>${broker.is_connected ? 'connected' : 'unreachable'}</span>
    </div>
    <div class="pipe ${broker.is_connected ? 'running' : 'broken'}" aria-hidden="true"></div>
    <div class="card node wide">
      <h2>auth_service</h2>
      ${replicas.length === 0
        ? html`<p class="hint">AUTH_SERVICE_URL is not set: user_service does not know where auth_service is.</p>`
        : html`<table class="replicas"><thead><tr><th scope="col">Replica</th><th scope="col" class="number">Applied</th><th scope="col" class="number">Behind</th><th scope="col">State</th></tr></thead>
          <tbody>${replicas.map((replica) => html`<${Replica} key=${replica.address} replica=${replica} head=${head(sample)} />`)}</tbody></table>`}
    </div>
  </section>`;
}

function Replica({ replica: { name, address, figures, problem }, head: end }) {
  const applied = figures.projection_seq;
  const cut = figures.projection_cut_off_seconds ?? 0;
  const [kind, text] = problem ? ['bad', 'unreachable']
    : cut > 0 ? ['bad', `cut off for ${shown(cut)} s`]
    : figures.projection_followed_directly ? ['warn', 'follows, without the broker']
    : ['good', 'follows'];
  return html`<tr title=${problem ?? ''}><th scope="row">${name ?? html`<span class="hint">unknown</span>`} <span class="hint">${address}</span></th><td class="number applied">${shown(applied)}</td>
    <td class="number behind">${applied === undefined ? '–' : shown(Math.max(0, end - applied))}</td>
    <td><span class="pill ${kind}"><i aria-hidden="true"></i>${text}</span></td></tr>`;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--plot-${name}`).trim();

function Plot({ title, unit, times, series, zero }) {
  const place = useRef(null);
  const plot = useRef(null);
  const data = [times, ...series.map(([, values]) => values.map((value) => value ?? null))];
  useEffect(() => {
    const make = () => {
      plot.current?.destroy();
      const axis = { stroke: colour('text'), grid: { stroke: colour('grid'), width: 1 }, ticks: { show: false }, font: '11px system-ui' };
      plot.current = new window.uPlot({
        width: place.current.clientWidth,
        height: 150,
        cursor: { drag: { x: false, y: false }, points: { size: 6 } },
        legend: { show: false },
        scales: { y: { range: (_, low, high) => [zero ? 0 : low ?? 0, (zero ? Math.max(high ?? 0, 1) : (high ?? 0) + 1)] } },
        axes: [{ ...axis, space: 80, size: 26, values: (_, values) => values.map((value) => clock.format(value * 1000)) }, { ...axis, size: 52, space: 28, values: (_, values) => values.map((value) => number.format(value)) }],
        series: [{}, ...series.map(([, , tone], index) => ({ stroke: colour(tone), width: 2, points: { show: false }, dash: index === 1 ? [6, 3] : undefined }))],
      }, data, place.current);
    };
    make();
    const resized = new ResizeObserver(() => plot.current.setSize({ width: place.current.clientWidth, height: 150 }));
    resized.observe(place.current);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', make);
    return () => { resized.disconnect(); scheme.removeEventListener('change', make); plot.current.destroy(); };
  }, []);
  useEffect(() => { plot.current?.setData(data); });
  const value = (values) => { const last = values.at(-1); return last === null || last === undefined ? '–' : number.format(Math.round(last * 10) / 10); };
  return html`<figure class="card plot">
    <figcaption><h2>${title} <span class="hint">${unit}</span></h2>
      <ul>${series.map(([name, values, tone]) => html`<li key=${name}><i class="tone-${tone}" aria-hidden="true"></i>${name} <b>${value(values)}</b></li>`)}</ul>
    </figcaption>
    <div ref=${place} aria-hidden="true"></div>
  </figure>`;
}
