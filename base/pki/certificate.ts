import { X509Certificate } from 'node:crypto';
import { readSubject, type Subject } from './subject.ts';

/** What a certificate says. It is believed only where TLS, or `isIssuedBy`, has checked who signed it. */
export interface Certificate {
  readonly subject: Subject;
  /** In hexadecimal; unique in its cluster. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Reads a certificate in PEM or DER; nothing when it is no certificate of ours. */
export function readCertificate(encoded: string | Uint8Array): Certificate | undefined {
  const certificate = parse(encoded);
  const uris = (certificate?.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('URI:'));
  const subject = uris.length === 1 ? readSubject(uris[0]?.slice('URI:'.length) ?? '') : undefined;
  if (!certificate || !subject) return undefined;
  return {
    subject,
    serial: certificate.serialNumber.toLowerCase(),
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
  };
}

/** Whether the authority (PEM) has signed the certificate (PEM or DER). Dates are not looked at. */
export function isIssuedBy(encoded: string | Uint8Array, authorityPem: string): boolean {
  const certificate = parse(encoded);
  const authority = parse(authorityPem);
  return !!certificate && !!authority && certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

/** SHA-256 of a certificate's DER form, as 43 characters of base64url: what a join token carries of its authority. */
export function fingerprintOf(encoded: string | Uint8Array): string | undefined {
  const certificate = parse(encoded);
  return certificate && Buffer.from(certificate.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
}

function parse(encoded: string | Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(encoded);
  } catch {
    return undefined; // not a certificate at all
  }
}
