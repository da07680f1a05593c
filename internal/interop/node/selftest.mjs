// Runs oauth4webapi's own client against both servers: whatever the SDK then fails at is its own.
//
//   node selftest.mjs --state FILE --api URL
import * as assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { parseArgs } from 'node:util';
import { decodeJwt, importJWK } from 'jose';
import * as oauth from 'oauth4webapi';
import { discover, insecure, privateKeyJwt, withNonce } from './caller.mjs';

const { values: flags } = parseArgs({ options: { state: { type: 'string' }, api: { type: 'string' } } });
const state = JSON.parse(fs.readFileSync(flags.state));
const as = await discover(state);

// What the server makes of structured details, and what it does not put up with.
async function checkDetails(tokenFor) {
  const organization = (value, system = 'urn:oid:1.0.6523') => ({
    type: 'helseid_authorization',
    practitioner_role: { organization: { identifier: { system, type: 'ENH', value } } },
  });
  const journal = (id) => ({ type: 'nhn:sfm:journal-id', value: { journal_id: id } });
  const id = crypto.randomUUID();
  const both = [organization('NO:ORGNR:999977775:999977776'), journal(id)];
  const claims = decodeJwt((await tokenFor(both)).access_token);
  assert.deepEqual(
    ['parent', 'child', 'supplier'].map((part) => claims[`helseid://claims/client/claims/orgnr_${part}`]),
    ['999977775', '999977776', state.supplier]);
  assert.equal(claims['helseid://claims/client/client_tenancy'], 'multi-tenant');
  assert.equal(claims['nhn:sfm:journal-id'], id);

  for (const malformed of [
    null, 'NO:ORGNR:999977775', [], [null], [both], [both[0], both[0]], {}, { type: 'toString' },
    organization('NO:ORGNR:99997777'), organization('NO:ORGNR:999977775:99997777'), organization('999977775'),
    organization('NO:ORGNR:999977775', 'urn:oid:2.16.578.1.12.4.1.4.101'), organization(999977775, 'urn:oid:2.16.578.1.12.4.1.4.101'),
    { ...organization('NO:ORGNR:999977775'), more: true }, journal('42'), journal([id]), { type: 'nhn:sfm:journal-id', value: { 'journal-id': id } },
  ]) {
    await assert.rejects(tokenFor(malformed), { error: 'invalid_request' }, JSON.stringify(malformed));
  }
}

async function check(alg, { client_id: clientId, private_jwk: jwk }) {
  const client = { client_id: clientId };
  const privateKey = { key: await importJWK(jwk, alg), kid: jwk.kid };
  const authenticate = privateKeyJwt(privateKey);
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
  const getToken = (scope, auth = authenticate, options = insecure) => withNonce(async () => {
    const parameters = scope ? { scope } : {};
    const answer = await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, { DPoP, ...options });
    return oauth.processClientCredentialsResponse(as, client, answer);
  });

  const token = await getToken(state.scopes[0]);
  assert.equal(token.token_type, 'dpop'); // oauth4webapi writes it in lower case
  assert.equal(token.scope, state.scopes[0]);
  assert.equal((await getToken()).scope, state.scopes.join(' '));

  for (const scope of ['nhn:interop-api/unknown', 'openid']) {
    await assert.rejects(getToken(scope), { error: 'invalid_scope' });
  }

  const call = (accessToken) => oauth.protectedResourceRequest(
    accessToken, 'GET', new URL('/things?x=1', flags.api), new Headers(), null, { DPoP, ...insecure });
  const response = await withNonce(() => call(token.access_token));
  assert.equal(response.status, 200);
  const { path, query, scope, sub, client_id: caller } = await response.json();
  assert.deepEqual({ path, query, scope, sub, caller },
    { path: '/things', query: '?x=1', scope: state.scopes[0], sub: clientId, caller: clientId });

  await checkDetails((details) => getToken(state.scopes[0], privateKeyJwt(privateKey, { assertion_details: details })));

  // Neither server may be content with less: a bearer token, a key that nobody registered, and a
  // request that is repeated as it was.
  const bare = await fetch(new URL('/things', flags.api), { headers: { authorization: `Bearer ${token.access_token}` } });
  assert.equal(bare.status, 401);
  const { privateKey: stranger } = await oauth.generateKeyPair(alg);
  await assert.rejects(getToken(undefined, privateKeyJwt(stranger)), { error: 'invalid_client' });
  const twice = async (...args) => {
    await fetch(...args);
    return fetch(...args);
  };
  await assert.rejects(getToken(undefined, authenticate, { ...insecure, [oauth.customFetch]: twice }), { error: 'invalid_client' });
}

for (const [alg, client] of Object.entries(state.clients)) {
  await check(alg, client);
}
console.log(JSON.stringify({ event: 'passed', clients: Object.keys(state.clients) }));
