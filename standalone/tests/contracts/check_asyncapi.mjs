// Parses an AsyncAPI document, and prints the addresses of its channels:
//   node check_asyncapi.mjs DOCUMENT
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';

const ERROR = 0;
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'));
const errors = diagnostics.filter(({ severity }) => severity === ERROR);
if (!document || errors.length > 0) {
  console.error(JSON.stringify(errors, null, 2));
  process.exit(1);
}
console.log(document.allChannels().all().map((channel) => channel.address()).join(' '));
