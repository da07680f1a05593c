// npm oidc-provider, configured to behave like HelseID.
import * as crypto from 'node:crypto';
import { Provider, errors } from 'oidc-provider';
// The provider computes its nonces from the clock and lets nobody replace them. In the mode where
// the server in front hands out its own, that server has checked the nonce already.
import ServerChallenge from './node_modules/oidc-provider/lib/helpers/challenge.js';
import { MalformedDetails, detailClaims } from './details.mjs';
import { decodeJwt } from './jwt.mjs';
import { generatePrivateJwk } from './keys.mjs';
import {
  AUTHORIZE_PATH, PAR_PATH, REVOCATION_PATH, USERINFO_PATH, USER_FEATURES, loginRegistration, userClaims, userConfiguration,
  userResource,
} from './users.mjs';

export const AUDIENCE = 'nhn:interop-api';
// Another API that takes the same scopes: a token for it differs in nothing but its audience.
export const OTHER_AUDIENCE = 'nhn:interop-other-api';
export const SCOPES = ['nhn:interop-api/read', 'nhn:interop-api/write'];
export const JWKS_PATH = '/.well-known/openid-configuration/jwks';
export const METADATA_PATH = '/.well-known/openid-configuration';
export const TOKEN_PATH = '/connect/token';

const ALGORITHMS = ['RS', 'PS', 'ES'].flatMap((family) => ['256', '384', '512'].map((bits) => family + bits));
const MAX_ASSERTION_LIFETIME = 60; // seconds

// The bundled in-memory adapter forgets everything beyond 1,000 entries, and with it which jti
// has been used. This one forgets nothing before its time.
class MapAdapter {
  static #entries = new Map();
  #model;

  constructor(model) {
    this.#model = model;
  }

  #key(id) {
    return `${this.#model}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    MapAdapter.#entries.set(this.#key(id), { payload, until: Date.now() + (expiresIn ?? Infinity) * 1000 });
  }

  async find(id) {
    const entry = MapAdapter.#entries.get(this.#key(id));
    return entry && entry.until > Date.now() ? entry.payload : undefined;
  }

  async destroy(id) {
    MapAdapter.#entries.delete(this.#key(id));
  }

  async consume(id) {
    (await this.find(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async findByUid(uid) {
    return this.#all().find(([, { payload }]) => payload.uid === uid)?.[1].payload;
  }

  async revokeByGrantId(grantId) {
    for (const [key] of this.#all().filter(([, { payload }]) => payload.grantId === grantId)) {
      MapAdapter.#entries.delete(key);
    }
  }

  #all() {
    return [...MapAdapter.#entries].filter(([key, { until }]) => key.startsWith(this.#key('')) && until > Date.now());
  }
}

// oidc-provider takes several audiences and any typ and lifetime; HelseID's rules are narrower.
function assertAssertion(issuer) {
  return (ctx, claims, header) => {
    const refuse = (why) => {
      throw new errors.InvalidClientAuth(why);
    };
    if (claims.aud !== issuer) refuse('aud must be the issuer, as a string');
    if (header.typ !== 'client-authentication+jwt') refuse('typ must be client-authentication+jwt');
    for (const name of ['iat', 'nbf', 'exp']) {
      if (!Number.isInteger(claims[name])) refuse(`${name} must be an integer`);
    }
    if (claims.exp - claims.iat > MAX_ASSERTION_LIFETIME) refuse('the assertion lives too long');
  };
}

// What the assertion says beyond who the client is goes into the token. The assertion has been
// verified when a token is made.
function extraTokenClaims(ctx, token) {
  try {
    const details = detailClaims(decodeJwt(ctx.oidc.params.client_assertion).claims.assertion_details);
    return { ...userClaims(token), ...details };
  } catch (err) {
    if (!(err instanceof MalformedDetails)) throw err;
    throw new errors.InvalidRequest(`HID-1007: ${err.message}`);
  }
}

// An API, and which scopes it knows. Unlike oidc-provider, which drops scopes it does not know,
// HelseID refuses them, identity scopes included; no scope at all means every scope of the client.
function getResourceServerInfo(ctx, resource) {
  if (resource !== AUDIENCE && resource !== OTHER_AUDIENCE) {
    throw new errors.InvalidTarget();
  }
  ctx.oidc.params.scope ??= SCOPES.join(' ');
  const unknown = ctx.oidc.params.scope.split(' ').filter((scope) => !SCOPES.includes(scope));
  if (unknown.length) {
    throw new errors.InvalidScope('unknown scope', unknown.join(' '));
  }
  return {
    audience: resource,
    scope: SCOPES.join(' '),
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  };
}

// `foreignNonces` tells whether the server in front has taken over the nonces. With `users` it logs
// users in for its clients, and tells them at `backChannel` when one has logged out.
export function makeProvider(issuer, { clients, nonces, lifetime, jwksPath, foreignNonces, users, unbound, backChannel }) {
  const { checkChallenge } = ServerChallenge.prototype;
  ServerChallenge.prototype.checkChallenge = function check(nonce) {
    return foreignNonces() || checkChallenge.call(this, nonce);
  };

  const { ttl, ...more } = users ? userConfiguration({ lifetime }) : {};
  const provider = new Provider(issuer, {
    ...more,
    adapter: MapAdapter,
    assertJwtClientAuthClaimsAndHeader: assertAssertion(issuer),
    clientAuthMethods: ['private_key_jwt'],
    clients: clients.map(({ id, alg, publicJwk }) => ({
      client_id: id,
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      ...(users && loginRegistration({ backChannel })),
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: alg,
      dpop_bound_access_tokens: !unbound,
      jwks: { keys: [publicJwk] },
    })),
    enabledJWA: {
      clientAuthSigningAlgValues: ALGORITHMS,
      dPoPSigningAlgValues: ALGORITHMS,
    },
    extraTokenClaims,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: {
        enabled: true,
        nonceSecret: nonces ? crypto.randomBytes(32) : undefined,
        requireNonce: () => nonces && !foreignNonces(),
      },
      resourceIndicators: {
        enabled: true,
        // A user's token without a resource is for userinfo.
        defaultResource: () => (users ? undefined : AUDIENCE),
        getResourceServerInfo: users ? (ctx, resource) => userResource(resource, lifetime) : getResourceServerInfo,
      },
      ...(users && USER_FEATURES),
    },
    jwks: { keys: [{ ...generatePrivateJwk('rsa', { modulusLength: 3072 }), alg: 'RS256', use: 'sig' }] },
    routes: {
      authorization: AUTHORIZE_PATH,
      end_session: '/connect/endsession',
      jwks: jwksPath,
      pushed_authorization_request: PAR_PATH,
      revocation: REVOCATION_PATH,
      token: TOKEN_PATH,
      userinfo: USERINFO_PATH,
    },
    ttl: { ...ttl, ClientCredentials: lifetime },
  });
  provider.on('server_error', (ctx, err) => console.error(err));
  return provider;
}
