// Notes everything that arrives at the endpoints that take credentials, before anything else looks at
// it.
import { decodeJwt } from './jwt.mjs';
import { PRIVATE_MEMBERS } from './keys.mjs';

const KEEP = 5; // assertions kept for the test to look at
const IAT_WINDOW = 10; // seconds; HelseID's own window is not known, APIs in use allow 10

export class Recorder {
  #origin;
  #tokenPath;
  // Identifiers are remembered for as long as the process lives: "single use" knows no test cases.
  #assertionJtis = new Set();
  #proofJtis = new Set();
  #spent = new Set();
  #proofs; // each token request must have one
  #now;

  constructor(origin, tokenPath, { proofs }) {
    this.#proofs = proofs;
    this.#origin = origin;
    this.#tokenPath = tokenPath;
    this.reset();
  }

  reset() {
    this.#now = {
      requests: 0, // of any kind, at any path
      paths: {}, // how many at each
      token_requests: 0,
      answers: {},
      path_answers: {}, // of the other endpoints that take credentials
      refusals: {}, // the provider's own reasons for refusing a token request
      grants: {}, // token requests by grant type
      refreshed: 0, // refresh tokens that were used up
      reused_refresh_tokens: 0,
      scopes: [], // the parameter of each token request, null where it was left out
      resources: [], // likewise
      details: [], // of each assertion, as they were written, null where there are none
      duplicate_assertion_jtis: [],
      duplicate_proof_jtis: [],
      violations: {},
      assertions: [],
    };
  }

  stats() {
    return {
      ...this.#now,
      assertion_jtis: [...this.#assertionJtis],
      proof_jtis: [...this.#proofJtis],
    };
  }

  request(path) {
    this.#now.requests++;
    count(this.#now.paths, path);
  }

  // How a token request was answered. A nonce challenge does not use a refresh token up, anything else
  // may have.
  answer(name, body) {
    count(this.#now.answers, name);
    const form = new URLSearchParams(body.toString());
    if (form.get('grant_type') === 'refresh_token' && name !== '400 use_dpop_nonce') {
      const token = form.get('refresh_token');
      this.#now.refreshed++;
      this.#now.reused_refresh_tokens += this.#spent.has(token) ? 1 : 0;
      this.#spent.add(token);
    }
  }

  pathAnswer(path, name) {
    count(this.#now.path_answers, `${path} ${name}`);
  }

  refusal({ error, error_detail: detail, error_description: description }) {
    count(this.#now.refusals, `${error}: ${detail ?? description}`);
  }

  // Records a token request and returns the nonce of its proof.
  tokenRequest(req, body) {
    this.#now.token_requests++;
    const form = this.#form(req, body);
    this.#check('repeated_parameter', new Set(form.keys()).size !== [...form.keys()].length);
    count(this.#now.grants, form.get('grant_type'));
    this.#now.scopes.push(form.get('scope'));
    this.#now.resources.push(form.get('resource'));
    return this.#proofs || req.headersDistinct.dpop ? this.#proof(req, this.#tokenPath) : undefined;
  }

  // Records a request to another endpoint, to which a proof need not come.
  credentials(req, body, path) {
    const form = this.#form(req, body);
    form.delete('resource'); // one for each API
    this.#check('repeated_parameter', new Set(form.keys()).size !== [...form.keys()].length);
    if (req.headersDistinct.dpop) {
      this.#proof(req, path);
    }
  }

  #form(req, body) {
    this.#check('not_post', req.method !== 'POST');
    this.#check('not_a_form', req.headers['content-type']?.split(';')[0] !== 'application/x-www-form-urlencoded');
    this.#check('authorization_header', req.headers.authorization !== undefined);
    const form = new URLSearchParams(body.toString());
    this.#check('client_secret', form.has('client_secret'));
    this.#assertion(form.get('client_assertion'));
    return form;
  }

  #assertion(compact) {
    const assertion = decodeJwt(compact ?? '');
    this.#check('assertion_unreadable', !assertion);
    if (assertion) {
      this.#once(this.#assertionJtis, assertion.claims.jti, this.#now.duplicate_assertion_jtis);
      this.#check('authorization_details', 'authorization_details' in assertion.claims);
      this.#now.details.push(assertion.claims.assertion_details ?? null);
      this.#now.assertions = [...this.#now.assertions, assertion].slice(-KEEP);
    }
  }

  #proof(req, path) {
    const proofs = req.headersDistinct.dpop ?? [];
    this.#check('not_one_proof', proofs.length !== 1);
    const proof = decodeJwt(proofs[0] ?? '');
    this.#check('proof_unreadable', !proof);
    if (!proof) {
      return undefined;
    }
    const { header, claims } = proof;
    this.#once(this.#proofJtis, claims.jti, this.#now.duplicate_proof_jtis);
    this.#check('proof_ath', 'ath' in claims);
    this.#check('proof_private_jwk', PRIVATE_MEMBERS.some((name) => name in (header.jwk ?? {})));
    this.#check('proof_typ', header.typ !== 'dpop+jwt');
    this.#check('proof_htm', claims.htm !== 'POST');
    this.#check('proof_htu', claims.htu !== this.#origin + path);
    this.#check('proof_iat', !Number.isInteger(claims.iat) || Math.abs(Date.now() / 1000 - claims.iat) > IAT_WINDOW);
    return claims.nonce;
  }

  #check(violation, found) {
    if (found) {
      count(this.#now.violations, violation);
    }
  }

  #once(seen, jti, duplicates) {
    if (seen.has(jti)) {
      duplicates.push(jti);
    }
    seen.add(jti);
  }
}

function count(counts, name) {
  counts[name] = (counts[name] ?? 0) + 1;
}
