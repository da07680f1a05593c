// The user flows as openid-client has them: it answers nonce challenges by itself.
import { importJWK } from 'jose';
import * as client from 'openid-client';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

export class Client {
  challenges = 0; // nonce challenges that were answered
  keyPair;
  #config;
  #dpop;

  static async create(state, { clientId, privateJwk }) {
    const created = new Client();
    const jwk = JSON.parse(privateJwk);
    const key = { key: await importJWK(jwk, jwk.alg), kid: jwk.kid };
    // HelseID's own typ: the library sends none. Its audience is the issuer, which is what HelseID wants.
    const authenticate = client.PrivateKeyJwt(key, {
      [client.modifyAssertion]: (header) => {
        header.typ = 'client-authentication+jwt';
      },
    });
    created.#config = await client.discovery(new URL(state.issuer), clientId, undefined, authenticate, {
      execute: [client.allowInsecureRequests],
      [client.customFetch]: async (...args) => {
        const response = await fetch(...args);
        if (await isChallenge(response.clone())) {
          created.challenges++;
        }
        return response;
      },
    });
    client.enableNonRepudiationChecks(created.#config); // which are those of the ID token's signature
    created.keyPair = await client.randomDPoPKeyPair('ES256', { extractable: true });
    created.#dpop = client.getDPoPHandle(created.#config, created.keyPair);
    return created;
  }

  get as() {
    return this.#config.serverMetadata();
  }

  get #options() {
    return { DPoP: this.#dpop };
  }

  async start(parameters) {
    const checks = { verifier: client.randomPKCECodeVerifier(), state: client.randomState(), nonce: client.randomNonce() };
    const pushed = new URLSearchParams({
      state: checks.state, nonce: checks.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(checks.verifier), code_challenge_method: 'S256',
    });
    for (const [name, value] of Object.entries(parameters)) {
      [value].flat().forEach((one) => pushed.append(name, one));
    }
    return { url: await client.buildAuthorizationUrlWithPAR(this.#config, pushed, this.#options), checks };
  }

  async finish(url, { verifier, state, nonce, maxAge }, parameters) {
    const tokens = await client.authorizationCodeGrant(this.#config, url,
      { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge, idTokenExpected: true }, parameters, this.#options);
    return { ...tokens, claims: tokens.claims() };
  }

  refresh(refreshToken, parameters) {
    return client.refreshTokenGrant(this.#config, refreshToken, parameters, this.#options);
  }

  userInfo(accessToken, subject) {
    return client.fetchUserInfo(this.#config, accessToken, subject, this.#options);
  }

  clientCredentials(parameters) {
    return client.clientCredentialsGrant(this.#config, parameters, this.#options);
  }

  exchange(parameters) {
    return client.genericGrantRequest(this.#config, EXCHANGE, parameters, this.#options);
  }

  revoke(token) {
    return client.tokenRevocation(this.#config, token);
  }

  endSession(parameters) {
    return client.buildEndSessionUrl(this.#config, parameters);
  }
}

async function isChallenge(response) {
  return response.status === 400 && (await response.json()).error === 'use_dpop_nonce';
}
