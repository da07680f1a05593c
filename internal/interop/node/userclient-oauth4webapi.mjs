// The user flows as oauth4webapi has them: each step is a call of its own.
import { importJWK } from 'jose';
import * as oauth from 'oauth4webapi';
import { discover, insecure, privateKeyJwt, withNonce } from './caller.mjs';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

export class Client {
  challenges = 0; // nonce challenges that were answered
  keyPair;
  as;
  #client;
  #authenticate;
  #dpop;

  static async create(state, { clientId, privateJwk }) {
    const client = new Client();
    const jwk = JSON.parse(privateJwk);
    client.as = await discover(state);
    client.keyPair = await oauth.generateKeyPair('ES256', { extractable: true });
    client.#client = { client_id: clientId };
    // HelseID's own typ: the library sends none. Its audience is the issuer, which is what HelseID wants.
    client.#authenticate = privateKeyJwt({ key: await importJWK(jwk, jwk.alg), kid: jwk.kid });
    client.#dpop = oauth.DPoP(client.#client, client.keyPair);
    return client;
  }

  get #options() {
    return { DPoP: this.#dpop, ...insecure };
  }

  #attempt(send) {
    return withNonce(send, () => this.challenges++);
  }

  async start(parameters) {
    const checks = { verifier: oauth.generateRandomCodeVerifier(), state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce() };
    const pushed = new URLSearchParams({
      response_type: 'code', state: checks.state, nonce: checks.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(checks.verifier), code_challenge_method: 'S256',
    });
    append(pushed, parameters);
    const { request_uri: requestUri } = await this.#attempt(async () => oauth.processPushedAuthorizationResponse(this.as, this.#client,
      await oauth.pushedAuthorizationRequest(this.as, this.#client, this.#authenticate, pushed, this.#options)));
    const url = new URL(this.as.authorization_endpoint);
    url.search = new URLSearchParams({ client_id: this.#client.client_id, request_uri: requestUri });
    return { url, checks: { ...checks, redirectUri: pushed.get('redirect_uri') } };
  }

  async finish(url, checks, parameters) {
    const answer = oauth.validateAuthResponse(this.as, this.#client, url, checks.state);
    const tokens = await this.#attempt(async () => {
      const response = await oauth.authorizationCodeGrantRequest(this.as, this.#client, this.#authenticate, answer,
        checks.redirectUri, checks.verifier, { additionalParameters: parameters, ...this.#options });
      const checked = { expectedNonce: checks.nonce, requireIdToken: true, maxAge: checks.maxAge };
      return this.#withSignature(response, await oauth.processAuthorizationCodeResponse(this.as, this.#client, response, checked));
    });
    return { ...tokens, claims: oauth.getValidatedIdTokenClaims(tokens) };
  }

  refresh(refreshToken, parameters) {
    return this.#attempt(async () => {
      const response = await oauth.refreshTokenGrantRequest(this.as, this.#client, this.#authenticate, refreshToken,
        { additionalParameters: parameters, ...this.#options });
      return this.#withSignature(response, await oauth.processRefreshTokenResponse(this.as, this.#client, response));
    });
  }

  // The library checks an ID token's signature only if it is told to.
  async #withSignature(response, tokens) {
    if (tokens.id_token) {
      await oauth.validateApplicationLevelSignature(this.as, response, insecure);
    }
    return tokens;
  }

  userInfo(accessToken, subject) {
    return this.#attempt(async () => oauth.processUserInfoResponse(this.as, this.#client, subject,
      await oauth.userInfoRequest(this.as, this.#client, accessToken, this.#options)));
  }

  clientCredentials(parameters) {
    return this.#attempt(async () => oauth.processClientCredentialsResponse(this.as, this.#client,
      await oauth.clientCredentialsGrantRequest(this.as, this.#client, this.#authenticate, parameters, this.#options)));
  }

  exchange(parameters) {
    return this.#attempt(async () => oauth.processGenericTokenEndpointResponse(this.as, this.#client,
      await oauth.genericTokenEndpointRequest(this.as, this.#client, this.#authenticate, EXCHANGE, parameters, this.#options)));
  }

  async revoke(token) {
    await oauth.processRevocationResponse(await oauth.revocationRequest(this.as, this.#client, this.#authenticate, token, insecure));
  }

  endSession(parameters) {
    const url = new URL(this.as.end_session_endpoint);
    url.search = new URLSearchParams({ client_id: this.#client.client_id, ...parameters });
    return url;
  }
}

function append(target, parameters) {
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) {
      target.append(name, one);
    }
  }
}
