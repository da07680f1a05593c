// Clients that nobody of this project wrote, against the SDK's example program examples/api.
//
//   node apiclient.mjs CHECK --state FILE --api URL [--nonces] [--proofs LIBRARY] [--inner URL]
//   node apiclient.mjs token --state FILE --session FILE
//   node apiclient.mjs call --session FILE --url URL [--within SECONDS]
//
// A check prints one line of JSON when all went as it should, and fails otherwise. `token` writes a
// token and its key to a file; `call` makes a call with them and prints what was answered. With
// --within it calls again until the answer is 200, for at most that long.
import * as fs from 'node:fs';
import { parseArgs } from 'node:util';
import { importJWK } from 'jose';
import * as oauth from 'oauth4webapi';
import { Caller } from './caller.mjs';
import { attacks } from './check-attacks.mjs';
import { calls } from './check-calls.mjs';
import { proxied } from './check-proxied.mjs';
import { refusals } from './check-refusals.mjs';

const PAUSE = 250; // milliseconds between two calls of `call --within`

const { values: flags, positionals: [command] } = parseArgs({
  allowPositionals: true,
  options: {
    state: { type: 'string' },
    api: { type: 'string' },
    inner: { type: 'string' },
    nonces: { type: 'boolean', default: false },
    proofs: { type: 'string', default: 'oauth4webapi' },
    session: { type: 'string' },
    url: { type: 'string' },
    within: { type: 'string', default: '0' },
  },
});

async function token({ state, session }) {
  const keyPair = await oauth.generateKeyPair('ES256', { extractable: true });
  const caller = await Caller.withToken(state, keyPair);
  fs.writeFileSync(session, JSON.stringify({
    clientId: caller.client.client_id,
    token: caller.token,
    jwk: await crypto.subtle.exportKey('jwk', keyPair.privateKey),
  }), { mode: 0o600 });
  return {};
}

async function restore(file) {
  const { clientId, token: accessToken, jwk } = JSON.parse(fs.readFileSync(file));
  const { kty, crv, x, y } = jwk;
  return new Caller(clientId, {
    privateKey: await importJWK(jwk, 'ES256'),
    publicKey: await importJWK({ kty, crv, x, y }, 'ES256', { extractable: true }),
  }, accessToken);
}

async function once(caller, url) {
  try {
    const response = await caller.call(url);
    const { reason = '' } = await response.json();
    return { status: response.status, error: '', reason, retry_after: response.headers.get('retry-after') ?? '' };
  } catch (err) {
    if (!(err instanceof oauth.WWWAuthenticateChallengeError)) throw err;
    const { reason = '' } = await err.response.json();
    return { status: err.response.status, error: err.cause[0].parameters.error ?? '', reason, retry_after: '' };
  }
}

async function call({ session, url, within }) {
  const caller = await restore(session);
  const start = Date.now();
  const seen = {};
  for (;;) {
    const answer = await once(caller, url);
    seen[answer.status] = (seen[answer.status] ?? 0) + 1;
    const ms = Date.now() - start;
    if (answer.status === 200 || ms >= within * 1000) {
      return { ...answer, seen, ms };
    }
    await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
  }
}

const COMMANDS = { token, call, calls, refusals, proxied, ...attacks };
if (!COMMANDS[command]) {
  throw new Error(`unknown command ${command}`);
}
const state = flags.state && JSON.parse(fs.readFileSync(flags.state));
const result = await COMMANDS[command]({ ...flags, state });
console.log(JSON.stringify({ event: 'done', ...result }));
