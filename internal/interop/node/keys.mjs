// Keys: made anew at every start, so that no private key is ever in the repository.
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
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

// What the server registers, and the private key as its owner holds it.
async function makeClient(alg, id, privateJwk) {
  // The owner of a bare key may send no kid or the key's thumbprint; this serves both.
  const kid = privateJwk.kid ?? await calculateJwkThumbprint(privateJwk);
  return { alg, id, privateJwk, publicJwk: { ...publicJwk(privateJwk), alg, use: 'sig', kid } };
}

// One client per algorithm.
export async function generateClients() {
  const clients = [];
  for (const { alg, type, options, bare } of CLIENTS) {
    const jwk = generatePrivateJwk(type, options);
    const names = { alg, use: 'sig', kid: crypto.randomBytes(16).toString('hex') };
    clients.push(await makeClient(alg, crypto.randomUUID(), bare ? jwk : { ...jwk, ...names }));
  }
  return clients;
}

// The clients of an earlier server, from its state file.
export async function readClients(file) {
  const { clients } = JSON.parse(fs.readFileSync(file));
  return Promise.all(Object.entries(clients).map(([alg, { client_id: id, private_jwk: jwk }]) => makeClient(alg, id, jwk)));
}
