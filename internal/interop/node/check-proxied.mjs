// An API behind a reverse proxy, which its clients know by the proxy's address.
import * as oauth from 'oauth4webapi';
import { Caller } from './caller.mjs';
import { PATHS, checkAnswer } from './check-calls.mjs';
import { checkRefused, to } from './check-refusals.mjs';

const INVALID_PROOF = { status: 401, error: 'invalid_dpop_proof' };

// `api` is the public address with its path prefix, `inner` the address behind the proxy.
export async function proxied({ state, api, inner, nonces }) {
  const caller = await Caller.withToken(state, await oauth.generateKeyPair('ES256'));
  for (const path of PATHS) {
    await checkAnswer(await caller.call(api + path), caller, state);
  }

  const outside = `${api}/machine`;
  const inside = `${inner}/machine`;
  const refuse = (name, proofFor, sendTo) =>
    checkRefused(name, INVALID_PROOF, { caller, url: proofFor, send: to(sendTo) });
  await refuse('a proof for the inner URL, through the proxy', inside, outside);
  await refuse('a proof for the inner URL, past the proxy', inside, inside);
  await refuse('a proof for the public URL without its prefix', new URL('/machine', api), outside);
  await refuse('a proof for the public URL with its prefix in capitals', new URL(`${new URL(api).pathname.toUpperCase()}/machine`, api), outside);
  await refuse('a proof for the prefix twice', `${api}${new URL(api).pathname}/machine`, outside);

  await checkAnswer(await caller.call(outside), caller, state);
  return { good: PATHS.length + 1, challenges: nonces ? 1 : 0, detail: `${PATHS.length + 1} good answers, 5 refused` };
}
