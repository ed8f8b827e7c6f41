// Reads a token a line, and prints the user's id or the code of the error for each, as jose finds them
// with the keys of the address in the first argument.
const { createRemoteJWKSet, jwtVerify } = require('jose');
const readline = require('node:readline');

// Keys that change more often than every 30 seconds need another pause between two requests for them.
const keys = createRemoteJWKSet(new URL(process.argv[2]), { cooldownDuration: 0 });
const rules = { issuer: 'lockstep', audience: 'lockstep', typ: 'at+jwt', clockTolerance: 5 };

async function main() {
  for await (const token of readline.createInterface({ input: process.stdin })) {
    try {
      console.log((await jwtVerify(token, keys, rules)).payload.sub);
    } catch (error) {
      console.log(error.code ?? String(error));
    }
  }
}
main();
