// Whole journeys through the console in Chromium, by clicking and by keyboard alone. Run by
// standalone/tests/console.rs with the URL of user_service; it asks for faults by lines on its
// output ("ask: stop the broker") and waits for the answer on its input.

import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [base, screenshots] = process.argv.slice(2);
const axe = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(what) {
  console.log(`ask: ${what}`);
  return (await answers.next()).value;
}

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1280, height: 820 }, bypassCSP: false });
// Axe is put in by the debugger's way, which the page's policy does not concern.
const page = await context.newPage();
page.setDefaultTimeout(15_000);
const messages = [];
page.on('console', (message) => {
  // Chromium writes a line for each answer of 400 and above, and each failed connection; both are expected here.
  const isAnswer = message.text().startsWith('Failed to load resource');
  if (!isAnswer) messages.push(message.text());
});
page.on('pageerror', (error) => messages.push(String(error)));

async function check(name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], name);
}

async function shoot(name) {
  if (screenshots) await page.screenshot({ path: `${screenshots}/${name}.png` });
}

const button = (name) => page.getByRole('button', { name, exact: true });
const dialog = () => page.getByRole('dialog');
const rows = () => page.locator('table.users tbody th');
const see = (text) => page.getByText(text, { exact: false }).first().waitFor();

/** The same, after an answer that nobody knows yet: as a person does, tries again where the page offers it. */
async function seeOnceKnown(text) {
  const wanted = page.getByText(text, { exact: false }).first();
  for (let tries = 0; tries < 10; tries += 1) {
    await wanted.or(button('Try again')).first().waitFor();
    if (await wanted.isVisible()) return;
    await button('Try again').click();
    await page.waitForTimeout(500);
  }
  await wanted.waitFor();
}

async function create(name, password = 'correct horse battery') {
  await button('Create user').click();
  await dialog().getByLabel('Username').fill(name);
  await dialog().getByLabel('Password').fill(password);
  await dialog().getByRole('button', { name: 'Create' }).click();
}

async function users() {
  await page.goto(`${base}/console#/users`);
  await see('no users here yet');
  await create('anna', 'short');
  const field = dialog().getByLabel('Password');
  await page.waitForFunction(() => document.activeElement?.name === 'password');
  assert.equal(await field.getAttribute('aria-invalid'), 'true');
  assert.match(await dialog().locator('#password-note').textContent(), /character/);
  await check('a dialog with an error');
  await shoot('error');
  await field.fill('correct horse battery');
  await page.keyboard.press('Enter');
  await see('Created anna');
  await create('Anna');
  await page.waitForFunction(() => document.activeElement?.name === 'username');
  assert.notEqual(await dialog().locator('#username-note').textContent(), '');
  await page.keyboard.press('Escape');
  // Whatever a name may contain is shown as text.
  const names = ['<img/src=x/onerror=alert(1)>', '🦀🚀', 'שלום', 'zoë&amp;'];
  const taken = [];
  for (const name of names) {
    await create(name);
    const outcome = await Promise.race([
      dialog().waitFor({ state: 'detached' }).then(() => true),
      dialog().locator('.error').first().waitFor().then(() => false),
    ]);
    if (outcome) taken.push(name);
    else await page.keyboard.press('Escape');
  }
  assert.ok(taken.includes('<img/src=x/onerror=alert(1)>') && taken.includes('שלום'), String(taken));
  for (const name of taken) await rows().getByText(name, { exact: true }).waitFor();
  assert.equal(await page.locator('table img').count(), 0);
  await button('Rename: anna').click();
  await dialog().getByLabel('New username').fill('anna2');
  await dialog().getByRole('button', { name: 'Rename' }).click();
  await see('Renamed anna to anna2');
  await button('Password: anna2').click();
  await dialog().getByLabel('Current password').fill('wrong password');
  await dialog().getByLabel('New password').fill('another long password');
  await dialog().getByRole('button', { name: 'Change password' }).click();
  await dialog().locator('.error').waitFor();
  await dialog().getByLabel('Current password').fill('correct horse battery');
  await dialog().getByRole('button', { name: 'Change password' }).click();
  await see('Changed the password of anna2');
  await check('users');
  await shoot('users');
}

async function deleting() {
  await create('doomed');
  await see('Created doomed');
  await button('Delete: doomed').click();
  await dialog().getByRole('button', { name: 'Cancel' }).click();
  await rows().getByText('doomed').waitFor();
  await button('Delete: doomed').click();
  await see('cannot be undone');
  await dialog().getByRole('button', { name: 'Delete' }).click();
  await see('Deleted doomed');
  assert.equal(await rows().getByText('doomed', { exact: true }).count(), 0);
  await page.getByLabel('Exact username').fill('ANNA2');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelectorAll('table.users tbody tr').length === 1);
}

async function paging() {
  const made = await page.evaluate(async () => {
    const statuses = [];
    for (let n = 0; n < 30; n += 1) {
      const body = JSON.stringify({ username: `user${n}`, password: 'correct horse battery' });
      const answer = await fetch('/users', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      statuses.push(answer.status);
    }
    return statuses;
  });
  assert.ok(made.every((status) => status === 201));
  await page.goto(`${base}/console#/live`);
  await page.goto(`${base}/console#/users`);
  await button('Next').click();
  await see('Page 2');
  await rows().getByText('user29', { exact: true }).waitFor();
  await button('Previous').click();
  await see('Page 1');
}

async function tokens() {
  // By keyboard alone: from the top of the page to the view, and into the form.
  await page.goto(`${base}/console`);
  for (let n = 0; n < 9; n += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.textContent === 'Tokens')) break;
  }
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement.tagName === 'H1');
  await page.keyboard.press('Tab');
  await page.keyboard.type('anna2');
  await page.keyboard.press('Tab');
  await page.keyboard.type('wrong password');
  await page.keyboard.press('Enter');
  await page.locator('.error').first().waitFor();
  await page.getByLabel('Password').fill('another long password');
  await page.keyboard.press('Enter');
  await see('until it expires');
  const first = await page.locator('.remaining .big').textContent();
  await page.waitForFunction((text) => document.querySelector('.remaining .big').textContent !== text, first);
  await page.locator('#foreign').fill('not a token');
  await button('Check').click();
  await see('not a JWT');
  const foreign = ['eyJhbGciOiJFZERTQSIsImtpZCI6IngiLCJ0eXAiOiJhdCtqd3QifQ', 'eyJpc3MiOiJ4IiwiZXhwIjo5OTk5OTk5OTk5LCJpYXQiOjF9', 'AAAA'].join('.');
  await page.locator('#foreign').fill(foreign);
  await button('Check').click();
  await see('No key with the id x');
  await check('tokens');
  await shoot('tokens');
  await button('Log out').click();
  await see('Logged out');
  const stored = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]);
  assert.deepEqual(stored, [0, 0, '']);
}

const figure = (id) => page.locator(id).textContent().then((text) => Number(text.replaceAll(',', '')));
const until = (read, wanted) => assert.doesNotReject(async () => {
  for (let n = 0; n < 300; n += 1) {
    if (wanted(await read())) return;
    await page.waitForTimeout(100);
  }
  throw new Error(`still ${await read()}`);
});

async function live() {
  await page.goto(`${base}/console#/live`);
  await page.locator('.replicas .applied').first().waitFor();
  assert.match(await page.locator('.replicas th[scope=row]').first().textContent(), /^1 127\.0\.0\.1:\d+$/);
  await check('live');
  await ask('stop the broker');
  await page.locator('.node .pill.bad').waitFor();
  await page.goto(`${base}/console#/users`);
  await create('in the dark'.replaceAll(' ', '-'));
  await see('Created in-the-dark');
  await page.goto(`${base}/console#/live`);
  await until(() => figure('#backlog'), (backlog) => backlog > 0);
  await shoot('backlog');
  await check('live without a broker');
  await ask('start the broker');
  await until(() => figure('#backlog'), (backlog) => backlog === 0);
  // The replica applies what has waited, and says that it follows again.
  await page.locator('.replicas .pill.good').waitFor();
  await until(() => page.locator('.replicas .behind').textContent(), (behind) => behind === '0');
  await page.locator('.node:not(.wide) .pill.good').waitFor();
  await shoot('live');
  await page.emulateMedia({ colorScheme: 'dark' });
  await check('live in the dark');
  await shoot('dark');
  await page.setViewportSize({ width: 390, height: 844 });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 390, `a phone has to scroll sideways: ${width}`);
  await check('live on a phone');
  await shoot('phone');
  await page.setViewportSize({ width: 1280, height: 820 });
  await page.emulateMedia({ colorScheme: 'light' });
}

async function restart() {
  await ask('restart the service');
  await page.getByText('connected', { exact: true }).first().waitFor();
  await page.goto(`${base}/console#/users`);
  await rows().getByText('anna2', { exact: true }).waitFor();
}

// USER_SERVICE_ACCESS=owner: nothing is shown before an administrator has logged in.
async function administrator() {
  const adminToken = await ask('require logins');
  const isNeeded = () => page.getByRole('heading', { name: 'An administrator’s token is needed' }).waitFor();
  await page.goto(`${base}/console#/users`);
  await page.reload();
  await isNeeded();
  assert.equal(await page.getByText('anna2').count(), 0);
  await check('a login is needed');
  await page.getByRole('textbox', { name: 'Token' }).fill('not a token');
  await button('Use this token').click();
  await page.locator('#login-problem').waitFor();
  await page.getByRole('textbox', { name: 'Token' }).fill(adminToken);
  await button('Use this token').click();
  await rows().getByText('anna2', { exact: true }).waitFor();
  await button('Forget token').click();
  await isNeeded();

  const logIn = async (name, password) => {
    await page.goto(`${base}/console#/tokens`);
    await page.getByLabel('Username').fill(name);
    await page.getByLabel('Password').fill(password);
    await button('Log in').click();
    await see('until it expires');
  };
  await logIn('user29', 'correct horse battery');
  await page.goto(`${base}/console#/users`);
  await seeOnceKnown('This token is not an administrator’s.');
  await button('Forget token').click();
  await logIn('anna2', 'another long password');
  await page.goto(`${base}/console#/users`);
  await create('by-the-administrator');
  await see('Created by-the-administrator');
  await page.goto(`${base}/console#/live`);
  await page.locator('.replicas .applied').first().waitFor();
}

const journeys = [users, deleting, paging, tokens, live, restart, administrator];
for (const journey of journeys) {
  const started = Date.now();
  try {
    await journey();
  } catch (error) {
    if (screenshots) await page.screenshot({ path: `${screenshots}/failed.png` });
    console.error(`${journey.name}: ${error.stack}\nThe page says:\n${await page.locator('body').innerText()}`);
    process.exit(1);
  }
  console.log(`${journey.name}: ${Date.now() - started} ms`);
}
assert.deepEqual(messages, [], 'the browser wrote messages');
await browser.close();
process.exit(0);
