// The structured details of a client assertion, and the claims that HelseID makes of them.
import { isDeepStrictEqual } from 'node:util';

// What HelseID knows of every client by its registration.
export const REGISTERED_PARENT = '994598759';
export const SUPPLIER = '987654325';

const MULTI_TENANT_SYSTEM = 'urn:oid:1.0.6523';
const SINGLE_TENANT_SYSTEM = 'urn:oid:2.16.578.1.12.4.1.4.101';
const MULTI_TENANT_VALUE = /^NO:ORGNR:(?<parent>\d{9})(?::(?<child>\d{9})?)?$/;
const SINGLE_TENANT_VALUE = /^(?<child>\d{9})$/;
const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;

export class MalformedDetails extends Error {}

// Each reads a detail's one variable part, from which the whole detail can be built again.
const TYPES = {
  helseid_authorization(detail) {
    const { system, value } = detail.practitioner_role?.organization?.identifier ?? {};
    const built = {
      type: 'helseid_authorization',
      practitioner_role: { organization: { identifier: { system, type: 'ENH', value: `${value}` } } },
    };
    return { built, claims: organizationClaims(system, value) };
  },
  'nhn:sfm:journal-id'(detail) {
    const id = `${detail.value?.journal_id}`;
    const built = { type: 'nhn:sfm:journal-id', value: { journal_id: id } };
    return { built, claims: UUID.test(id) && { 'nhn:sfm:journal-id': id } };
  },
};

function organizationClaims(system, value) {
  const claim = (part) => `helseid://claims/client/claims/orgnr_${part}`;
  const single = system === SINGLE_TENANT_SYSTEM && SINGLE_TENANT_VALUE.exec(value)?.groups;
  if (single) {
    return { [claim('parent')]: REGISTERED_PARENT, [claim('child')]: single.child };
  }
  const multi = system === MULTI_TENANT_SYSTEM && MULTI_TENANT_VALUE.exec(value)?.groups;
  return multi && {
    'helseid://claims/client/client_tenancy': 'multi-tenant',
    [claim('parent')]: multi.parent,
    ...(multi.child && { [claim('child')]: multi.child }),
    [claim('supplier')]: SUPPLIER,
  };
}

// The claims for one detail or an array of them. A member too many or too few, a type that nobody
// knows or that comes twice: all that is malformed.
export function detailClaims(details) {
  if (details === undefined) {
    return {};
  }
  const list = [details].flat();
  const types = new Set(list.map((detail) => detail?.type));
  if (list.length === 0 || types.size !== list.length) {
    throw new MalformedDetails('there is no detail, or two of one type');
  }
  return Object.assign({}, ...list.map((detail) => {
    if (!Object.hasOwn(TYPES, detail?.type)) {
      throw new MalformedDetails('a detail is of an unknown type');
    }
    const { built, claims } = TYPES[detail.type](detail);
    if (!claims || !isDeepStrictEqual(detail, built)) {
      throw new MalformedDetails(`a detail does not follow the specification of ${detail.type}`);
    }
    return claims;
  }));
}
