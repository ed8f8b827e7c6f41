// Reads a JSON object of tokens, adds forged ones, and prints the verdict of the verifier on each.
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { verify } from './verifier.mjs';

const tokens = JSON.parse(readFileSync(0, 'utf8'));
const [header, payload, signature] = tokens.good.split('.');
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const read = (text) => JSON.parse(Buffer.from(text, 'base64url'));
const { keys } = await (await fetch(process.argv[2])).json();
const publicKey = Buffer.from(keys.find(({ kid }) => kid === read(header).kid).x, 'base64url');

const signed = `${part({ ...read(header), alg: 'HS256' })}.${payload}`;
tokens.hs256 = `${signed}.${createHmac('sha256', publicKey).update(signed).digest('base64url')}`;
tokens.none = `${part({ ...read(header), alg: 'none' })}.${payload}.`;
tokens['other type'] = `${part({ ...read(header), typ: 'JWT' })}.${payload}.${signature}`;
tokens.tampered = `${header}.${part({ ...read(payload), sub: '2' })}.${signature}`;

const verdicts = {};
for (const [name, token] of Object.entries(tokens)) {
  verdicts[name] = await verify(token).then(({ sub }) => sub, (error) => error.code ?? String(error));
}
console.log(JSON.stringify(verdicts));
