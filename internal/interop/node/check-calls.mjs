// Good calls: every algorithm, several methods and paths.
import * as assert from 'node:assert/strict';
import * as dpop from 'dpop';
import * as oauth from 'oauth4webapi';
import { Caller } from './caller.mjs';

export const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512'];
export const PATHS = ['/machine', '/files/a%20b?x=1', '/files//x'];
const METHODS = ['GET', 'POST', 'PUT', 'DELETE'];

const LIBRARIES = {
  oauth4webapi: {
    algorithms: ALGORITHMS,
    generateKeyPair: oauth.generateKeyPair,
    send: (caller, url, options) => caller.call(url, options),
  },
  // It makes proofs and nothing else, with three of the algorithms; nonces are its user's business.
  dpop: {
    algorithms: ['ES256', 'PS256', 'RS256'],
    generateKeyPair: dpop.generateKeyPair,
    async send(caller, url, { method, body }) {
      const attempt = async () => {
        const { origin, pathname } = url;
        const proof = await dpop.generateProof(caller.keyPair, origin + pathname, method, caller.nonce, caller.token);
        const response = await fetch(url, {
          method,
          body,
          redirect: 'manual',
          headers: { authorization: `DPoP ${caller.token}`, dpop: proof },
          signal: AbortSignal.timeout(10_000),
        });
        caller.nonce = response.headers.get('dpop-nonce') ?? caller.nonce;
        return response;
      };
      const response = await attempt();
      if (response.status === 401 && response.headers.get('www-authenticate')?.includes('error="use_dpop_nonce"')) {
        caller.challenges++;
        return attempt();
      }
      return response;
    },
  },
};

// The answer of an API that knows who called: a system, and nobody else.
export async function checkAnswer(response, caller, state) {
  assert.equal(response.status, 200);
  const { client_id: clientId, user, scopes, audience } = await response.json();
  assert.deepEqual({ clientId, user, scopes, audience },
    { clientId: caller.client.client_id, user: null, scopes: [state.scopes[0]], audience: [state.audience] });
}

export async function calls({ state, api, nonces, proofs }) {
  const library = LIBRARIES[proofs];
  let good = 0;
  for (const alg of library.algorithms) {
    const caller = await Caller.withToken(state, await library.generateKeyPair(alg));
    for (const path of PATHS) {
      for (const method of METHODS) {
        const body = method === 'POST' || method === 'PUT' ? '{"x":1}' : undefined;
        try {
          await checkAnswer(await library.send(caller, new URL(path, api), { method, body }), caller, state);
        } catch (err) {
          throw new Error(`${alg} ${method} ${path}: ${err.message}`, { cause: err });
        }
        good++;
      }
    }
    // The first call learns the nonce, and no other needs to be told.
    assert.equal(caller.challenges, nonces ? 1 : 0, `${alg}: nonce challenges`);
  }
  return { good, challenges: nonces ? library.algorithms.length : 0, detail: `${good} good answers with ${library.algorithms.join(' ')}` };
}
