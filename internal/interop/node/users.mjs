// The people who log in at oidc-provider, its login page, and the rest of what HelseID does for users
// and oidc-provider does not do by itself.
import { errors } from 'oidc-provider';

export const REDIRECT_URI = 'https://ehr.example.no/callback'; // nobody goes there
export const POST_LOGOUT_REDIRECT_URI = 'https://ehr.example.no/';
export const PAR_PATH = '/connect/par';
export const AUTHORIZE_PATH = '/connect/authorize';
export const USERINFO_PATH = '/connect/userinfo';
export const REVOCATION_PATH = '/connect/revocation';

// The APIs by the short names that HelseID gives them. oidc-provider demands absolute URIs, and takes
// these for some of the scheme "nhn".
export const APIS = {
  'nhn:interop-api': 'nhn:interop-api/read',
  'nhn:interop-other-api': 'nhn:interop-other-api/read',
};

const IDENTITY = 'helseid://claims/identity';
const HPR_NUMBER = 'helseid://claims/hpr/hpr_number';

// Synthetic persons, by subject.
export const USERS = {
  'clinician-4': {
    name: 'KVART GREVLING',
    given_name: 'KVART',
    family_name: 'GREVLING',
    [`${IDENTITY}/pid`]: '06828399789',
    [`${IDENTITY}/security_level`]: '4',
    [`${IDENTITY}/assurance_level`]: 'high',
    [HPR_NUMBER]: '565505933',
  },
  'clinician-3': {
    name: 'STILLE ELG',
    given_name: 'STILLE',
    family_name: 'ELG',
    [`${IDENTITY}/pid`]: '14897541182',
    [`${IDENTITY}/security_level`]: '3',
    [`${IDENTITY}/assurance_level`]: 'substantial',
    [HPR_NUMBER]: '565501872',
  },
};

// Which claims a scope gives.
const CLAIMS = {
  openid: ['sub', 'idp'],
  profile: ['name', 'given_name', 'family_name'],
  'helseid://scopes/identity/pid': [`${IDENTITY}/pid`],
  'helseid://scopes/identity/security_level': [`${IDENTITY}/security_level`],
  'helseid://scopes/identity/assurance_level': [`${IDENTITY}/assurance_level`],
  'helseid://scopes/hpr/hpr_number': [HPR_NUMBER],
};

// An API's access tokens tell of the user what the API wants to know.
export function userClaims(token) {
  return token.accountId ? { idp: 'testidp-oidc', ...USERS[token.accountId] } : {};
}

export function userResource(resource, lifetime) {
  if (!Object.hasOwn(APIS, resource)) {
    throw new errors.InvalidTarget();
  }
  return {
    audience: resource,
    scope: APIS[resource],
    accessTokenTTL: lifetime,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  };
}

// oidc-provider gives a refresh token to those only who have been asked with prompt=consent. HelseID
// asks nobody. So what a client pushes gets a parameter that tells what its scope said.
export function rememberOfflineAccess(body) {
  const form = new URLSearchParams(body.toString());
  if (form.get('scope')?.split(' ').includes('offline_access')) {
    form.set('offline', 'true');
  }
  return Buffer.from(form.toString());
}

// Everything that is asked for is granted.
async function grantAll(ctx) {
  const { client, session, params, requestParamOIDCScopes, resourceServers, provider } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope([...requestParamOIDCScopes, ...(params.offline ? ['offline_access'] : [])].join(' '));
  for (const [resource, { scope }] of Object.entries(resourceServers)) {
    grant.addResourceScope(resource, scope);
  }
  await grant.save();
  return grant;
}

// What the provider's configuration says about users.
export function userConfiguration({ lifetime }) {
  return {
    acrValues: ['Level4', 'High'],
    claims: CLAIMS,
    conformIdTokenClaims: false, // HelseID puts the claims into the ID token
    cookies: { keys: ['no secret: everything here is made up'] },
    expiresWithSession: () => false, // a logout ends the browser's session, clients revoke their tokens
    extraParams: ['offline'],
    findAccount: (ctx, sub) => USERS[sub] && {
      accountId: sub,
      claims: () => ({ sub, idp: 'testidp-oidc', ...USERS[sub] }),
    },
    // The guard of the provider keeps it away from loopback, where the client is.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token')
      && ctx.oidc.entities.Grant.getOIDCScopeEncountered().split(' ').includes('offline_access'),
    loadExistingGrant: grantAll,
    pkce: { required: () => true },
    rotateRefreshToken: true,
    scopes: ['openid', 'profile', 'offline_access'],
    ttl: {
      AccessToken: lifetime, AuthorizationCode: 60, Grant: 3600, IdToken: 300, Interaction: 600, RefreshToken: 3600, Session: 3600,
    },
  };
}

// The same for features of the provider.
export const USER_FEATURES = {
  backchannelLogout: { enabled: true },
  pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
  revocation: { enabled: true },
  rpInitiatedLogout: {
    enabled: true,
    // HelseID does not ask again.
    logoutSource: (ctx, form) => {
      ctx.body = page(form.replace('</form>', '<input type="hidden" name="logout" value="yes"/></form>'));
    },
  },
};

// What a client's registration says about logins.
export function loginRegistration({ backChannel }) {
  return {
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types: ['code'],
    redirect_uris: [REDIRECT_URI],
    post_logout_redirect_uris: [POST_LOGOUT_REDIRECT_URI],
    ...(backChannel && { backchannel_logout_uri: backChannel, backchannel_logout_session_required: true }),
  };
}

// The login page: a form that says who logs in, or that nobody does.
export async function interaction(provider, req, res, body) {
  const { prompt, params } = await provider.interactionDetails(req, res);
  if (req.method !== 'POST') {
    res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
    return res.end(page(`<p>${prompt.name} to ${params.client_id}</p><form method="post" action="${req.url}">`
      + '<input type="text" name="account" value=""/><input type="submit" name="action" value="login"/></form>'));
  }
  const form = new URLSearchParams(body.toString());
  if (form.get('action') === 'cancel') {
    return provider.interactionFinished(req, res, { error: 'access_denied', error_description: 'the user cancelled the login' });
  }
  return provider.interactionFinished(req, res, { login: { accountId: form.get('account'), amr: ['pwd'] } });
}

function page(content) {
  return `<!DOCTYPE html><html lang="en"><title>oidc-provider</title>${content}</html>`;
}
