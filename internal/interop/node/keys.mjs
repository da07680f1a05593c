// Keys: made anew at every start, so that no private key is ever in the repository.
import * as crypto from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';

// Node 20 can hang for ever when a freshly generated key is exported as a JWK while the garbage
// collector runs. A key that was read back from PEM has no such trouble.
export function generatePrivateJwk(type, options) {
  const { privateKey: pem } = crypto.generateKeyPairSync(type, {
    ...options,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return crypto.createPrivateKey(pem).export({ format: 'jwk' });
}

export const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

function publicJwk(jwk) {
  return Object.fromEntries(Object.entries(jwk).filter(([name]) => !PRIVATE_MEMBERS.includes(name)));
}

const CLIENTS = [
  { alg: 'RS256', type: 'rsa', options: { modulusLength: 2048 } },
  // Bare: neither kid nor alg, as in files that HelseID Selvbetjening has handed out.
  { alg: 'PS256', type: 'rsa', options: { modulusLength: 3072 }, bare: true },
  { alg: 'ES384', type: 'ec', options: { namedCurve: 'P-384' } },
];

// One client per algorithm: what the server registers, and the private key as its owner holds it.
export async function generateClients() {
  const clients = [];
  for (const { alg, type, options, bare } of CLIENTS) {
    const jwk = generatePrivateJwk(type, options);
    // The owner of a bare key may send no kid or the key's thumbprint; this serves both.
    const kid = bare ? await calculateJwkThumbprint(jwk) : crypto.randomBytes(16).toString('hex');
    const names = { alg, use: 'sig', kid };
    clients.push({
      alg,
      id: crypto.randomUUID(),
      privateJwk: bare ? jwk : { ...jwk, ...names },
      publicJwk: { ...publicJwk(jwk), ...names },
    });
  }
  return clients;
}
