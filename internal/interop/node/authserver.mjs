// The authorization server: npm oidc-provider, with a recorder and a fault injector in front.
//
//   node authserver.mjs --state FILE [--port N] [--nonces] [--lifetime SECONDS] [--clients FILE]
//                       [--jwks-path PATH] [--users] [--unbound] [--back-channel URL] [--with-parent]
//
// With --users it logs users in, and tells the client at the URL when one has logged out.
// With --unbound it gives bearer tokens to those who send no proof.
//
// Prints one line of JSON when it is ready. The state file holds the clients' private keys. Its
// signing keys are new at every start; --clients takes the clients from an earlier state file, so
// that a server can be started again with new keys for the clients that it had.
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import { parseArgs } from 'node:util';
import { REGISTERED_PARENT, SUPPLIER } from './details.mjs';
import { Faults } from './faults.mjs';
import { control, exitWithParent, interceptAnswer, listen, readBody, sendJson } from './http.mjs';
import { generateClients, readClients } from './keys.mjs';
import { AUDIENCE, JWKS_PATH, METADATA_PATH, OTHER_AUDIENCE, SCOPES, TOKEN_PATH, makeProvider } from './provider.mjs';
import { Recorder } from './recorder.mjs';
import {
  APIS, PAR_PATH, POST_LOGOUT_REDIRECT_URI, REDIRECT_URI, REVOCATION_PATH, interaction, rememberOfflineAccess,
} from './users.mjs';

const { values: flags } = parseArgs({
  options: {
    state: { type: 'string' },
    port: { type: 'string', default: '0' },
    nonces: { type: 'boolean', default: false },
    lifetime: { type: 'string', default: '600' },
    clients: { type: 'string' },
    'jwks-path': { type: 'string', default: JWKS_PATH },
    users: { type: 'boolean', default: false },
    unbound: { type: 'boolean', default: false },
    'back-channel': { type: 'string' },
    'with-parent': { type: 'boolean', default: false },
  },
});
if (!flags.state) {
  throw new Error('--state is missing');
}

// What a good answer can be turned into. These wait for one, so that a nonce challenge is not it.
const DAMAGES = {
  // The connection ends in the middle of the body.
  half(res, body) {
    res.setHeader('content-length', Buffer.byteLength(body));
    res.write(body.slice(0, body.length / 2), () => res.destroy());
  },
  // The answer is complete, its document is not.
  halfjson(res, body) {
    resend(res, body.slice(0, body.length / 2));
  },
  html(res) {
    res.setHeader('content-type', 'text/html; charset=utf-8');
    resend(res, '<!doctype html><title>Sign in to the network</title>');
  },
  // A reader that takes the last one, or folds case, finds a token that works in the next two.
  'duplicate-member'(res, body) {
    resend(res, body.replace('{', '{"access_token":"decoy",'));
  },
  'folded-member'(res, body) {
    resend(res, body.replace('"access_token"', '"Access_Token"'));
  },
};

function errorCode(answer) {
  try {
    return JSON.parse(answer).error;
  } catch {
    return 'not JSON';
  }
}

function resend(res, body) {
  res.setHeader('content-length', Buffer.byteLength(body));
  res.end(body);
}

const faults = new Faults(['status', 'cut', 'newnonce', 'wrong-issuer-metadata', ...Object.keys(DAMAGES)]);
let newestNonce;
freshNonce();

function freshNonce() {
  newestNonce = crypto.randomBytes(16).toString('base64url');
  return newestNonce;
}

function tokenEndpoint(recorder, handle) {
  return (req, res, body) => {
    const nonce = recorder.tokenRequest(req, body);
    const newnonce = faults.on('newnonce');

    const status = faults.take('status')?.status;
    if (status) {
      recorder.answer(`${status}`, body);
      return sendJson(res, status, { error: 'temporarily_unavailable' });
    }
    if (newnonce && nonce !== newestNonce) {
      recorder.answer('400 use_dpop_nonce', body);
      return sendJson(res, 400, { error: 'use_dpop_nonce' }, { 'dpop-nonce': freshNonce() });
    }

    interceptAnswer(res, (answer) => {
      // The provider has handled the request by now: whatever was single-use is used.
      if (faults.take('cut')) {
        recorder.answer('cut', body);
        return res.destroy();
      }
      if (newnonce) {
        res.setHeader('dpop-nonce', freshNonce());
      }
      const good = res.statusCode === 200;
      const damage = good && faults.take(...Object.keys(DAMAGES));
      if (damage) {
        recorder.answer(damage.kind, body);
        return DAMAGES[damage.kind](res, answer);
      }
      recorder.answer(good ? '200' : `${res.statusCode} ${errorCode(answer)}`, body);
      return res.end(answer);
    });
    return handle(req, res);
  };
}

// The other endpoints that take a client's credentials.
function credentialEndpoint(recorder, handle, path) {
  return (req, res, body) => {
    recorder.credentials(req, body, path);
    interceptAnswer(res, (answer) => {
      recorder.pathAnswer(path, res.statusCode < 300 ? `${res.statusCode}` : `${res.statusCode} ${errorCode(answer)}`);
      res.end(answer);
    });
    if (path === PAR_PATH) {
      req.body = rememberOfflineAccess(body);
    }
    return handle(req, res);
  };
}

function withWrongIssuer(res) {
  interceptAnswer(res, (answer) => {
    resend(res, JSON.stringify({ ...JSON.parse(answer), issuer: 'https://somebody-else.example' }));
  });
}

const clients = flags.clients ? await readClients(flags.clients) : await generateClients();
const issuer = await listen(Number(flags.port), (origin) => {
  const recorder = new Recorder(origin, TOKEN_PATH, { proofs: !flags.unbound });
  const provider = makeProvider(origin, {
    clients,
    nonces: flags.nonces,
    lifetime: Number(flags.lifetime),
    jwksPath: flags['jwks-path'],
    foreignNonces: () => faults.on('newnonce'),
    users: flags.users,
    unbound: flags.unbound,
    backChannel: flags['back-channel'],
  });
  provider.on('grant.error', (ctx, err) => recorder.refusal(err));
  const handle = provider.callback();
  const token = tokenEndpoint(recorder, handle);
  const par = credentialEndpoint(recorder, handle, PAR_PATH);
  const revocation = credentialEndpoint(recorder, handle, REVOCATION_PATH);

  return async (req, res) => {
    const body = await readBody(req);
    if (req.url.startsWith('/_control/')) {
      return control(req, res, body, { stats: () => recorder.stats(), reset: () => recorder.reset(), faults });
    }
    const { pathname } = new URL(req.url, origin);
    recorder.request(pathname);
    // The stream has been read; oidc-provider looks here then, and parses the form itself.
    req.body = body;
    if (pathname.startsWith('/interaction/')) {
      return interaction(provider, req, res, body);
    }
    switch (pathname) {
      case TOKEN_PATH:
        return token(req, res, body);
      case PAR_PATH:
        return par(req, res, body);
      case REVOCATION_PATH:
        return revocation(req, res, body);
      case METADATA_PATH:
        if (faults.on('wrong-issuer-metadata')) {
          withWrongIssuer(res);
        }
        return handle(req, res);
      default:
        return handle(req, res);
    }
  };
});

fs.writeFileSync(flags.state, JSON.stringify({
  issuer,
  audience: AUDIENCE,
  other_audience: OTHER_AUDIENCE,
  scopes: SCOPES,
  registered_parent: REGISTERED_PARENT,
  supplier: SUPPLIER,
  jwks_path: flags['jwks-path'],
  redirect_uri: REDIRECT_URI,
  post_logout_redirect_uri: POST_LOGOUT_REDIRECT_URI,
  user_scopes: APIS,
  clients: Object.fromEntries(clients.map(({ alg, id, privateJwk }) => [alg, { client_id: id, private_jwk: privateJwk }])),
}), { mode: 0o600 });

if (flags['with-parent']) {
  exitWithParent();
}
console.log(JSON.stringify({ event: 'ready', url: issuer }));
