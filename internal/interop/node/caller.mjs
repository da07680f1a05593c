// A client of oauth4webapi's: gets a token from the authorization server and calls an API with it.
import { importJWK } from 'jose';
import * as oauth from 'oauth4webapi';

export const insecure = { [oauth.allowInsecureRequests]: true };

const TIMEOUT = 10_000; // milliseconds, for one request

// Authenticates with the key, with more claims in the assertion if there are any.
export function privateKeyJwt(key, more = {}) {
  return oauth.PrivateKeyJwt(key, {
    [oauth.modifyAssertion]: (header, claims) => {
      header.typ = 'client-authentication+jwt';
      Object.assign(claims, more);
    },
  });
}

// The first attempt may be answered with a nonce, which the DPoP handle remembers.
export async function withNonce(attempt, challenged = () => {}) {
  try {
    return await attempt();
  } catch (err) {
    if (!oauth.isDPoPNonceError(err)) throw err;
    challenged();
    return attempt();
  }
}

export async function discover(state) {
  const issuer = new URL(state.issuer);
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
}

export class Caller {
  client;
  keyPair;
  token;
  nonce; // the newest of the API's, for proofs that are made by hand
  challenges = 0; // nonce challenges of the API that were answered
  #handle;

  // With a token of an earlier caller, or one to be set.
  constructor(clientId, keyPair, token) {
    this.client = { client_id: clientId };
    this.keyPair = keyPair;
    this.token = token;
    this.#handle = oauth.DPoP(this.client, keyPair);
  }

  // With a token for this key, from the authorization server.
  static async withToken(state, keyPair, parameters = { scope: state.scopes[0] }) {
    const [[alg, { client_id: clientId, private_jwk: jwk }]] = Object.entries(state.clients);
    const caller = new Caller(clientId, keyPair);
    const as = await discover(state);
    const authenticate = privateKeyJwt({ key: await importJWK(jwk, alg), kid: jwk.kid });
    const answer = await withNonce(async () => oauth.processClientCredentialsResponse(as, caller.client,
      await oauth.clientCredentialsGrantRequest(as, caller.client, authenticate, parameters, { DPoP: caller.#handle, ...insecure })));
    caller.token = answer.access_token;
    return caller;
  }

  // The same client and key with another token.
  withOther(token) {
    const other = new Caller(this.client.client_id, this.keyPair, token);
    other.nonce = this.nonce;
    return other;
  }

  // Sends one request. A challenge, as oauth4webapi reads it, is thrown. `edit` changes the proof
  // before it is signed, and `send` may do to the request on its way out what it likes.
  async attempt(url, { method = 'GET', body, edit, send = fetch } = {}) {
    const watched = async (...args) => {
      const response = await send(...args);
      this.nonce = response.headers.get('dpop-nonce') ?? this.nonce;
      return response;
    };
    const DPoP = edit ? this.#edited(edit) : this.#handle;
    return oauth.protectedResourceRequest(this.token, method, new URL(url), new Headers(), body, {
      DPoP, [oauth.customFetch]: watched, signal: () => AbortSignal.timeout(TIMEOUT), ...insecure,
    });
  }

  // The same, with the library's own answer to a nonce challenge.
  async call(url, options) {
    return withNonce(() => this.attempt(url, options), () => this.challenges++);
  }

  // A handle that nothing has been sent with, since oauth4webapi makes a handle's header only once.
  #edited(edit) {
    return oauth.DPoP(this.client, this.keyPair, {
      [oauth.modifyAssertion]: (header, claims) => {
        claims.nonce = this.nonce;
        edit(header, claims);
      },
    });
  }
}
