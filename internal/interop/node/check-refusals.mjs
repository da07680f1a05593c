// Requests that must be refused, and odd ones that must not be.
import * as assert from 'node:assert/strict';
import * as http from 'node:http';
import * as dpop from 'dpop';
import * as oauth from 'oauth4webapi';
import { Caller } from './caller.mjs';
import { ALGORITHMS, checkAnswer } from './check-calls.mjs';
import { decodeJwt } from './jwt.mjs';

const INVALID_PROOF = { status: 401, error: 'invalid_dpop_proof' };
const INVALID_TOKEN = { status: 401, error: 'invalid_token' };
const INVALID_REQUEST = { status: 401, error: 'invalid_request' };
const FORBIDDEN = { status: 403, error: 'insufficient_scope' };

const asItIs = () => {};

// Ways to send a request other than as it was made.
export const to = (url) => (_, options) => fetch(url, options);
const by = (method) => (url, options) => fetch(url, { ...options, method });
const withHeaders = (edit) => (url, { headers, ...options }) => fetch(url, { ...options, headers: edit({ ...headers }) });
const twice = async (url, options) => {
  assert.equal((await fetch(url, options)).status, 200, 'the proof was no good the first time');
  return fetch(url, options);
};

// fetch joins headers of one name; only node:http sends two.
const twoProofs = (url, { headers, method }) => new Promise((resolve, reject) => {
  const fields = { ...headers, dpop: [headers.dpop, headers.dpop] };
  http.request(url, { method, headers: fields, timeout: 10_000 }, async (answer) => {
    const chunks = [];
    for await (const chunk of answer) chunks.push(chunk);
    resolve(new Response(Buffer.concat(chunks), { status: answer.statusCode, headers: answer.headers }));
  }).on('error', reject).end();
});

const withProof = (edit) => withHeaders((headers) => ({ ...headers, dpop: edit(headers.dpop) }));
const asBearer = (h) => h.authorization.replace('DPoP', 'Bearer');
const claim = (name, value) => ({ edit: (_, claims) => Object.assign(claims, { [name]: value }) });
const header = (name, value) => ({ edit: (head) => Object.assign(head, { [name]: value }) });
const moved = (seconds) => ({ edit: (_, claims) => { claims.iat += seconds; } });

function flipSignature(proof) {
  const [head, claims, signature] = proof.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  bytes[0] ^= 1;
  return [head, claims, bytes.toString('base64url')].join('.');
}

// Each name tells what is wrong; nothing else is. `undefined` takes a member out.
async function badRequests({ caller, state, api }) {
  const path = (name) => new URL(name, api);
  const stranger = new Caller(caller.client.client_id, await oauth.generateKeyPair('ES256'), caller.token);
  stranger.nonce = caller.nonce;
  const fresh = async (parameters) => {
    const other = await Caller.withToken(state, caller.keyPair, parameters);
    other.nonce = caller.nonce;
    return other;
  };
  const otherAPI = await fresh({ scope: state.scopes[0], resource: state.other_audience });
  const otherScope = await fresh({ scope: state.scopes[1] });
  const { privateKey: edKey, publicKey: edPublic } = await dpop.generateKeyPair('Ed25519');
  const edProof = await dpop.generateProof({ privateKey: edKey, publicKey: edPublic },
    path('/machine').href, 'GET', caller.nonce, caller.token);
  const ecPrivate = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE';

  return [
    ['a proof that has been used', INVALID_PROOF, { send: twice }],
    ['a proof for another path', INVALID_PROOF, { send: to(path('/files/x')) }],
    ['a proof for the path in another case', INVALID_PROOF, { url: path('/files/A'), send: to(path('/files/a')) }],
    ['a proof for the path without its double slash', INVALID_PROOF, { url: path('/files/x'), send: to(path('/files//x')) }],
    ['a proof for another method', INVALID_PROOF, { send: by('DELETE') }],
    ['a proof for the method in another case', INVALID_PROOF, claim('htm', 'get')],
    ['a proof for another host', INVALID_PROOF, claim('htu', path('/machine').href.replace('127.0.0.1', 'localhost'))],
    ['a proof for another port', INVALID_PROOF, claim('htu', 'http://127.0.0.1/machine')],
    ['a proof for https', INVALID_PROOF, claim('htu', path('/machine').href.replace('http:', 'https:'))],
    ['a proof a minute old', INVALID_PROOF, moved(-60)],
    ['a proof from a minute ahead', INVALID_PROOF, moved(60)],
    ['a proof with iat as text', INVALID_PROOF, { edit: (_, claims) => { claims.iat = `${claims.iat}`; } }],
    ...['ath', 'jti', 'htm', 'htu', 'iat'].map((name) => [`a proof without ${name}`, INVALID_PROOF, claim(name, undefined)]),
    ['a proof with the hash of another token', INVALID_PROOF, claim('ath', 'A'.repeat(43))],
    ...['typ', 'alg', 'jwk'].map((name) => [`a proof without ${name}`, INVALID_PROOF, header(name, undefined)]),
    ['a proof of type JWT', INVALID_PROOF, header('typ', 'JWT')],
    ['a proof with alg none', INVALID_PROOF, header('alg', 'none')],
    ['a proof with a private key', INVALID_PROOF, { edit: (head) => { head.jwk = { ...head.jwk, d: ecPrivate }; } }],
    ['a proof with a damaged signature', INVALID_PROOF, { send: withProof(flipSignature) }],
    ['a proof without a signature', INVALID_PROOF, { send: withProof((proof) => proof.slice(0, proof.lastIndexOf('.') + 1)) }],
    ['a proof that is no JWT', INVALID_PROOF, { send: withProof(() => 'neither-signed-nor-JSON') }],
    ['a proof with Ed25519', INVALID_PROOF, { send: withProof(() => edProof) }],
    ['no proof', INVALID_REQUEST, { send: withHeaders(({ dpop: _, ...others }) => others) }],
    ['two proofs', INVALID_REQUEST, { send: twoProofs }],
    ['a proof by another key', INVALID_TOKEN, { caller: stranger }],
    ['the token as Bearer', INVALID_TOKEN, { send: withHeaders((h) => ({ authorization: asBearer(h) })) }],
    ['the token as Bearer, with a proof', INVALID_TOKEN, { send: withHeaders((h) => ({ ...h, authorization: asBearer(h) })) }],
    ['a token for another API', INVALID_TOKEN, { caller: otherAPI }],
    ['a token with a damaged signature', INVALID_TOKEN, { caller: caller.withOther(flipSignature(caller.token)) }],
    ['a token that is no JWT', INVALID_TOKEN, { caller: caller.withOther('neither-signed-nor-JSON') }],
    ['a token with another scope', { ...FORBIDDEN, scope: state.scopes[0] }, { caller: otherScope }],
    ['a system where a user is needed', FORBIDDEN, { url: path('/practitioner') }],
    ['a caller without organisation where one is needed', FORBIDDEN, { url: path('/organisation') }],
    ['no credentials', { status: 401, error: undefined }, { send: withHeaders(() => ({})) }],
  ];
}

// Odd, and good by RFC 9449 section 4.3 and RFC 3986 section 6.2.
function oddRequests({ api }) {
  const machine = new URL('/machine', api);
  return [
    ['htu with query and fragment', { edit: (_, claims) => { claims.htu += '?a=b#c'; } }],
    ['htu with its scheme in capitals', { edit: (_, claims) => { claims.htu = claims.htu.replace('http', 'HTTP'); } }],
    ['htu with a letter encoded', claim('htu', machine.href.replace('machine', '%6dachine'))],
    ['eight seconds old', moved(-8)],
    ['six seconds ahead', moved(6)],
    ['with nbf and exp', { edit: (_, claims) => Object.assign(claims, { nbf: claims.iat, exp: claims.iat + 60 }) }],
    ['with members that nobody knows', { edit: (head, claims) => { head.x = [1]; claims.y = { z: null }; } }],
  ];
}

// Makes a request that is to be refused and checks everything about the answer.
export async function checkRefused(name, want, request) {
  let sent;
  const { caller, url, send = fetch, edit = asItIs } = request;
  const recorded = (target, options) => {
    sent = options.headers;
    return send(target, options);
  };
  try {
    const err = await caller.attempt(url, { edit, send: recorded }).then(
      (response) => assert.fail(`status ${response.status} and no challenge`),
      (reason) => reason,
    );
    if (!(err instanceof oauth.WWWAuthenticateChallengeError)) throw err;
    const { response, cause: challenges } = err;
    const body = await response.text();
    assert.equal(response.status, want.status, body);
    assert.equal(challenges.length, 1, 'number of challenges');
    const [{ scheme, parameters, token68 }] = challenges;
    assert.deepEqual({ scheme, token68, error: parameters.error }, { scheme: 'dpop', token68: undefined, error: want.error });
    assert.deepEqual(parameters.algs?.split(' ').sort(), [...ALGORITHMS].sort());
    assert.equal(parameters.scope, want.scope);
    assert.match(response.headers.get('content-type'), /^application\/problem\+json/);
    const problem = JSON.parse(body);
    assert.deepEqual({ status: problem.status, error: problem.error }, { status: want.status, error: want.error });
    assert.ok(problem.reason, 'the body gives no reason');
    const answer = body + JSON.stringify([...response.headers]);
    for (const secret of [caller.token, sent.dpop, decodeJwt(sent.dpop).claims.jti]) {
      assert.ok(!answer.includes(secret), 'the answer repeats what was sent');
    }
  } catch (err) {
    throw new Error(`${name}: ${err.message}`, { cause: err });
  }
}

export async function refusals({ state, api, nonces }) {
  const machine = new URL('/machine', api);
  const caller = await Caller.withToken(state, await oauth.generateKeyPair('ES256'));
  const goodCall = async (options) => checkAnswer(await caller.call(machine, options), caller, state);
  await goodCall(); // which also tells the nonce
  assert.equal(caller.nonce !== undefined, nonces, 'nonces');

  const bad = await badRequests({ caller, state, api });
  let good = 2; // the one above, and the first of the two with the proof that is then used again
  for (const [name, want, request] of bad) {
    await checkRefused(name, want, { caller, url: machine, ...request });
    await goodCall();
    good++;
  }
  if (nonces) {
    const strange = { status: 401, error: 'use_dpop_nonce' };
    await checkRefused('no nonce', strange, { caller, url: machine, ...claim('nonce', undefined) });
    await checkRefused('a made-up nonce', strange, { caller, url: machine, ...claim('nonce', 'A'.repeat(caller.nonce.length)) });
    bad.push('no nonce', 'a made-up nonce');
  }

  const odd = oddRequests({ api });
  for (const [name, request] of odd) {
    await goodCall(request).catch((err) => {
      throw new Error(`${name}: ${err.message}`, { cause: err });
    });
    good++;
  }
  return { good, challenges: nonces ? 3 : 0, detail: `${bad.length} refused, ${odd.length} odd ones let in` };
}
