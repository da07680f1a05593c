// An API that lets in whom oauth4webapi's validateJwtAccessToken lets in, with a replay list and,
// if asked for, nonces.
//
//   node api.mjs --issuer URL --audience A [--port N] [--nonces] [--with-parent]
//
// Prints one line of JSON when it is ready.
import * as crypto from 'node:crypto';
import { parseArgs } from 'node:util';
import * as oauth from 'oauth4webapi';
import { Faults } from './faults.mjs';
import { control, exitWithParent, listen, readBody, sendJson } from './http.mjs';
import { decodeJwt } from './jwt.mjs';

const { values: flags } = parseArgs({
  options: {
    issuer: { type: 'string' },
    audience: { type: 'string' },
    port: { type: 'string', default: '0' },
    nonces: { type: 'boolean', default: false },
    'with-parent': { type: 'boolean', default: false },
  },
});

const insecure = { [oauth.allowInsecureRequests]: true };
const ALGORITHMS = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512';

// Nonces change every few calls; a client that is a little behind is still heard. "A little" must
// be more than what ten calls at a time can do to each other: on a busy machine one call has been
// overtaken by more than twenty others between its nonce and its arrival. It must also be less than
// one run of fifty calls, or a client that keeps its first nonce for ever would not be noticed.
const nonces = {
  every: 8,
  keep: 6,
  valid: [],
  calls: 0,

  newest() {
    if (this.calls++ % this.every === 0) {
      this.valid = [crypto.randomBytes(16).toString('base64url'), ...this.valid].slice(0, this.keep);
    }
    return this.valid[0];
  },
};

const faults = new Faults(['cut', 'status', 'redirect-same', 'redirect-other']);
const proofJtis = new Set(); // never emptied
let now;

function reset() {
  now = { requests: 0, accepted: 0, refused: {}, duplicate_proof_jtis: [], htu_with_query: 0, last: null };
}
reset();

// Notes what arrives before anything else looks at it.
function record(req) {
  now.requests++;
  const claims = decodeJwt(req.headers.dpop ?? '')?.claims;
  if (!claims) {
    return {};
  }
  const replayed = proofJtis.has(claims.jti);
  if (replayed) {
    now.duplicate_proof_jtis.push(claims.jti);
  }
  proofJtis.add(claims.jti);
  // RFC 9449 wants neither, but oauth4webapi cuts both off before it compares.
  if (/[?#]/.test(claims.htu)) {
    now.htu_with_query++;
  }
  return { nonce: claims.nonce, replayed };
}

function refuse(res, error, reason, headers) {
  now.refused[reason] = (now.refused[reason] ?? 0) + 1;
  return sendJson(res, 401, { error }, {
    'www-authenticate': `DPoP error="${error}", algs="${ALGORITHMS}"`,
    ...headers,
  });
}

function answerFault(res, { kind, status, location }) {
  switch (kind) {
    case 'cut':
      return res.destroy();
    case 'status':
      return sendJson(res, status, { error: 'as the test asked for' });
    case 'redirect-same':
      return sendJson(res, 307, {}, { location: '/moved/here?y=2' });
    case 'redirect-other':
      return sendJson(res, 307, {}, { location });
  }
}

async function answerCall(req, res, as, origin) {
  const { nonce, replayed } = record(req);
  const fault = faults.take('cut', 'status', 'redirect-same', 'redirect-other');
  if (fault) {
    return answerFault(res, fault);
  }

  const headers = flags.nonces ? { 'dpop-nonce': nonces.newest() } : {};
  if (flags.nonces && !nonces.valid.includes(nonce)) {
    return refuse(res, 'use_dpop_nonce', 'use_dpop_nonce', headers);
  }
  if (replayed) {
    return refuse(res, 'invalid_dpop_proof', 'replayed proof', headers);
  }

  const url = new URL(req.url, origin);
  let token;
  try {
    const request = new Request(url, { method: req.method, headers: req.headers });
    token = await oauth.validateJwtAccessToken(as, request, flags.audience, { requireDPoP: true, ...insecure });
  } catch (err) {
    return refuse(res, 'invalid_token', err.message, headers);
  }

  now.accepted++;
  now.last = {
    method: req.method,
    path: url.pathname,
    query: url.search,
    sub: token.sub,
    client_id: token.client_id,
    scope: token.scope,
  };
  return sendJson(res, 200, { ok: true, ...now.last }, headers);
}

const issuer = new URL(flags.issuer);
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
const url = await listen(Number(flags.port), (origin) => async (req, res) => {
  const body = await readBody(req);
  if (req.url.startsWith('/_control/')) {
    return control(req, res, body, { stats: () => ({ ...now, proof_jtis: [...proofJtis] }), reset, faults });
  }
  return answerCall(req, res, as, origin);
});

if (flags['with-parent']) {
  exitWithParent();
}
console.log(JSON.stringify({ event: 'ready', url }));
