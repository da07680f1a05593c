// A client that nobody of this project wrote, through every user flow against helseidtest.
//
//   node userflow.mjs --library oauth4webapi|openid-client --state FILE
//
// The state file names the server, the clients and what they may ask for. Prints one line of JSON when
// all went as it should, and fails otherwise.
import * as assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { parseArgs } from 'node:util';
import { calculateJwkThumbprint, createRemoteJWKSet, decodeJwt, exportJWK, jwtVerify } from 'jose';
import * as oauth from 'oauth4webapi';
import { insecure } from './caller.mjs';
import { Browser } from './userbrowser.mjs';

const { values: flags } = parseArgs({ options: { library: { type: 'string' }, state: { type: 'string' } } });
const { Client } = await import(`./userclient-${flags.library}.mjs`);
const state = JSON.parse(fs.readFileSync(flags.state));
const [first, second] = state.apis; // each with its audience and scope
const IDENTITY_SCOPES = [
  'openid', 'profile', 'helseid://scopes/identity/pid', 'helseid://scopes/identity/security_level', 'helseid://scopes/hpr/hpr_number',
];
const LOGIN = {
  redirect_uri: state.redirect_uri,
  scope: [...IDENTITY_SCOPES, 'offline_access', first.scope, second.scope].join(' '),
  resource: [first.audience, second.audience],
};

const ehr = await Client.create(state, state.ehr);
const api = await Client.create(state, state.api);

async function logIn(browser, parameters = {}, maxAge = undefined) {
  const { url, checks } = await ehr.start({ ...LOGIN, ...parameters });
  assert.deepEqual([...url.searchParams.keys()].sort(), ['client_id', 'request_uri']);
  const { url: callback, page } = await browser.walk(url, { user: state.user.pid });
  assert.ok(callback, page);
  assert.equal(callback.origin + callback.pathname, state.redirect_uri);
  return ehr.finish(callback, { ...checks, maxAge }, { resource: first.audience });
}

// Lets oauth4webapi's API in with an access token, and a proof by the client's key.
async function callAPI(client, token, { audience, clientId }) {
  let sent;
  const capture = async (url, init) => {
    sent = new Request(url, init);
    return new Response();
  };
  const DPoP = oauth.DPoP({ client_id: clientId }, client.keyPair);
  await oauth.protectedResourceRequest(token, 'GET', new URL('http://127.0.0.1/api'), undefined, undefined,
    { DPoP, [oauth.customFetch]: capture, ...insecure });
  return oauth.validateJwtAccessToken(client.as, sent, audience, { requireDPoP: true, ...insecure });
}

// An access token as an API must find it.
async function checkAccessToken(client, token, expected) {
  if (expected.subject) {
    await callAPI(client, token, expected);
  } else {
    // HelseID's tokens for systems need not have a subject, without which the library refuses them.
    await jwtVerify(token, createRemoteJWKSet(new URL(client.as.jwks_uri)), { typ: 'at+jwt', issuer: state.issuer, audience: expected.audience });
  }
  const claims = decodeJwt(token);
  assert.equal(claims.aud, expected.audience, 'one audience, as a string');
  assert.equal(claims.client_id, expected.clientId);
  assert.equal(claims.sub, expected.subject);
  assert.equal(claims.cnf.jkt, await calculateJwkThumbprint(await exportJWK(client.keyPair.publicKey)));
  assert.deepEqual([claims.scope].flat().filter((scope) => !IDENTITY_SCOPES.includes(scope) && scope !== 'offline_access'), expected.scopes);
  return claims;
}

// Neither library looks at the hash of the access token in the ID token that comes with it.
function checkHash({ access_token: accessToken, id_token: idToken }) {
  const digest = createHash('sha256').update(accessToken).digest();
  assert.equal(decodeJwt(idToken).at_hash, digest.subarray(0, digest.length / 2).toString('base64url'));
}

function checkUser(claims) {
  assert.equal(claims.name, state.user.name);
  assert.equal(claims['helseid://claims/identity/pid'], state.user.pid);
  assert.equal(claims['helseid://claims/identity/security_level'], '4');
  assert.equal(claims['helseid://claims/hpr/hpr_number'], state.user.hpr_number);
}

const refused = (promise, error, what) => assert.rejects(promise, (err) => {
  const code = err.error ?? err.cause?.error ?? err.cause?.get?.('error') ?? err.cause?.[0]?.parameters?.error;
  assert.equal(code, error, what);
  return true;
}, what);

// A login with two resources, which come one at a time.
const browser = new Browser(state.issuer);
const tokens = await logIn(browser);
checkUser(tokens.claims);
checkHash(tokens);
const subject = tokens.claims.sub;
assert.equal(tokens.token_type, 'dpop'); // both libraries write it in lower case
const user = { clientId: state.ehr.clientId, subject };
await checkAccessToken(ehr, tokens.access_token, { ...user, audience: first.audience, scopes: [first.scope] });
const info = await ehr.userInfo(tokens.access_token, subject);
checkUser(info);
await assert.rejects(ehr.userInfo(tokens.access_token, 'somebody else'));
assert.ok(tokens.rt_expires_in > 0);

const renewed = await ehr.refresh(tokens.refresh_token, { resource: second.audience });
assert.notEqual(renewed.refresh_token, tokens.refresh_token);
checkHash(renewed);
await checkAccessToken(ehr, renewed.access_token, { ...user, audience: second.audience, scopes: [second.scope] });
const narrowed = await ehr.refresh(renewed.refresh_token, { resource: first.audience, scope: first.scope });
await checkAccessToken(ehr, narrowed.access_token, { ...user, audience: first.audience, scopes: [first.scope] });
await refused(ehr.refresh(narrowed.refresh_token, { resource: 'nhn:unknown-api' }), 'invalid_target', 'a resource that the login does not name');

// The API calls the next one on behalf of the user.
const exchanged = await api.exchange({
  subject_token: narrowed.access_token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', scope: state.next.scope,
});
assert.equal(exchanged.issued_token_type, 'urn:ietf:params:oauth:token-type:access_token');
const actor = await checkAccessToken(api, exchanged.access_token,
  { clientId: state.api.clientId, subject, audience: state.next.audience, scopes: [state.next.scope] });
assert.equal(actor.act.client_id, state.api.clientId);
assert.equal(actor['helseid://claims/client/original_client_id'], state.ehr.clientId);
await refused(api.exchange({
  subject_token: renewed.access_token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', scope: state.next.scope,
}), 'invalid_request', "a token for somebody else's API");

// A client of its own accord.
const system = await ehr.clientCredentials({ scope: second.scope, resource: second.audience });
await checkAccessToken(ehr, system.access_token, { clientId: state.ehr.clientId, audience: second.audience, scopes: [second.scope] });
await refused(ehr.clientCredentials({ scope: 'openid' }), 'invalid_scope', 'an identity scope for a system');

// Single sign-on, and a login in spite of it.
const pages = browser.pages;
const again = await logIn(browser, { prompt: 'none' });
assert.equal(again.claims.sub, subject);
assert.equal(again.claims.sid, tokens.claims.sid);
assert.equal(browser.pages, pages);
const anew = await logIn(browser, { prompt: 'login', max_age: '0' }, 0);
assert.equal(browser.pages > pages, state.page);
assert.ok(anew.claims.auth_time >= again.claims.auth_time);

// A refresh token that is used twice ends what came of it.
const next = await ehr.refresh(again.refresh_token, { resource: first.audience });
await refused(ehr.refresh(again.refresh_token, { resource: first.audience }), 'invalid_grant', 'a used refresh token');
await refused(ehr.refresh(next.refresh_token, { resource: first.audience }), 'invalid_grant', 'the one that came of it');

// What has been revoked is of no use.
await ehr.refresh(anew.refresh_token, { resource: first.audience }).then(async ({ refresh_token: token }) => {
  await ehr.revoke(token);
  await refused(ehr.refresh(token, { resource: first.audience }), 'invalid_grant', 'a revoked refresh token');
});
await ehr.revoke('nobody knows this');

// A code that is used twice.
const { url, checks } = await ehr.start(LOGIN);
const { url: callback } = await browser.walk(url);
const once = await ehr.finish(callback, checks, { resource: first.audience });
await refused(ehr.finish(callback, checks, { resource: first.audience }), 'invalid_grant', 'a used code');
await refused(ehr.refresh(once.refresh_token, { resource: first.audience }), 'invalid_grant', 'the refresh token of a used code');

// The same client with another key: the code is bound to the one of the pushed request, and the refresh
// token to the one of the code.
const stranger = await Client.create(state, state.ehr);
const bound = await ehr.start(LOGIN);
const { url: stolen } = await browser.walk(bound.url);
await refused(stranger.finish(stolen, bound.checks, { resource: first.audience }), 'invalid_grant', "another key's code");
const owners = await logIn(browser);
await refused(stranger.refresh(owners.refresh_token, { resource: first.audience }), 'invalid_grant', "another key's refresh token");
await ehr.refresh(owners.refresh_token, { resource: first.audience });

// The logout ends the browser's session.
const { url: after, page } = await browser.walk(ehr.endSession({
  id_token_hint: tokens.id_token, post_logout_redirect_uri: state.post_logout_redirect_uri, state: 'afterwards',
}));
assert.equal(after?.href, `${state.post_logout_redirect_uri}?state=afterwards`, page);
const silent = await ehr.start({ ...LOGIN, prompt: 'none' });
const { url: nobody } = await browser.walk(silent.url);
await refused((async () => ehr.finish(nobody, silent.checks, {}))(), 'login_required', 'prompt=none after the logout');

console.log(JSON.stringify({
  event: 'done', challenges: [ehr, api, stranger].map((client) => client.challenges), pages: browser.pages,
}));
