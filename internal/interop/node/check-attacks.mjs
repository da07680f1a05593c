// Many requests at once.
import * as assert from 'node:assert/strict';
import * as nodeCrypto from 'node:crypto';
import { once } from 'node:events';
import * as net from 'node:net';
import { SignJWT, calculateJwkThumbprint, exportJWK } from 'jose';
import * as oauth from 'oauth4webapi';
import { Caller } from './caller.mjs';
import { checkAnswer } from './check-calls.mjs';
import { checkRefused } from './check-refusals.mjs';

const COPIES = 20;
const ROUNDS = 5;
const FORGERIES = 60;
const TIMEOUT = 10_000; // milliseconds

// Sends copies of one request at the same instant, each over a connection that is open already, and
// returns the answers' status and error code.
async function atOnce(url, { method, headers }) {
  const request = [
    `${method} ${url.pathname}${url.search} HTTP/1.1`,
    `host: ${url.host}`,
    'connection: close',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    '', '',
  ].join('\r\n');
  const sockets = await Promise.all(Array.from({ length: COPIES }, async () => {
    const socket = net.connect({ host: url.hostname, port: url.port, noDelay: true });
    await once(socket, 'connect');
    socket.setTimeout(TIMEOUT, () => socket.destroy(new Error('no answer')));
    return socket;
  }));
  const answers = sockets.map(async (socket) => {
    const chunks = [];
    for await (const chunk of socket) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    return `${text.match(/^HTTP\/1\.1 (\d{3})/)?.[1]} ${text.match(/ error="(\w+)"/)?.[1] ?? ''}`.trim();
  });
  sockets.forEach((socket) => socket.write(request));
  return Promise.all(answers);
}

// Copies of one good request: only one of them may be let in.
async function copies({ state, api, nonces }) {
  const url = new URL('/files/a%20b?x=1', api);
  const caller = await Caller.withToken(state, await oauth.generateKeyPair('ES256'));
  await checkAnswer(await caller.call(url), caller, state);
  for (let round = 0; round < ROUNDS; round++) {
    let answers;
    const send = async (target, options) => {
      answers = await atOnce(new URL(target), options);
      return new Response('{}');
    };
    await caller.attempt(url, { send });
    assert.deepEqual(answers.sort(), ['200', ...Array(COPIES - 1).fill('401 invalid_dpop_proof')]);
  }
  return { good: 1 + ROUNDS, challenges: nonces ? 1 : 0, detail: `${ROUNDS} times one of ${COPIES} let in` };
}

// Good tokens in all but the signature, each with a key identifier of its own that nobody has heard
// of. The signing key is not the issuer's.
async function forgeries({ state, api, nonces }) {
  const url = new URL('/machine', api);
  const caller = await Caller.withToken(state, await oauth.generateKeyPair('ES256'));
  await checkAnswer(await caller.call(url), caller, state);

  const jkt = await calculateJwkThumbprint(await exportJWK(caller.keyPair.publicKey));
  const { privateKey } = await oauth.generateKeyPair('RS256');
  const forge = (kid) => new SignJWT({ client_id: caller.client.client_id, scope: state.scopes[0], cnf: { jkt } })
    .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid })
    .setIssuer(state.issuer).setAudience(state.audience).setSubject(caller.client.client_id)
    .setJti(nodeCrypto.randomUUID()).setIssuedAt().setExpirationTime('5m')
    .sign(privateKey);
  let refused = 0;
  // The issuer was asked about the key, or the caller shall come again when it has been.
  const attack = async (i) => {
    const forger = caller.withOther(await forge(nodeCrypto.randomBytes(16).toString('hex')));
    let later;
    const send = async (target, options) => {
      const response = await fetch(target, options);
      if (response.status === 503) later = response.headers.get('retry-after');
      return response;
    };
    try {
      await checkRefused(`forgery ${i}`, { status: 401, error: 'invalid_token' }, { caller: forger, url, send });
      refused++;
    } catch (err) {
      if (!/^[1-9]\d*$/.test(later)) throw err;
    }
  };
  // Those that come together may share one request for keys; each of those after them is alone.
  await Promise.all(Array.from({ length: FORGERIES / 2 }, (_, i) => attack(i)));
  for (let i = FORGERIES / 2; i < FORGERIES; i++) {
    await attack(i);
  }

  assert.ok(refused > 0, 'no forgery was refused as one');

  await checkAnswer(await caller.call(url), caller, state);
  return { good: 2, challenges: nonces ? 1 : 0, detail: `${refused} of ${FORGERIES} forgeries refused, and the others told to come again` };
}

export const attacks = { copies, forgeries };
