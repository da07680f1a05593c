// Reads a compact JWT without verifying it: the records must not depend on the libraries under test.
export function decodeJwt(compact) {
  try {
    const [header, claims] = compact.split('.').map((part) => Buffer.from(part, 'base64url').toString());
    return { header: JSON.parse(header), claims: JSON.parse(claims) };
  } catch {
    return undefined;
  }
}
