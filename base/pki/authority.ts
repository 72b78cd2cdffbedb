import 'reflect-metadata';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  type PublicKey,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { ClusterId } from '../ids.ts';
import type { Random } from '../random.ts';
import { algorithm, keyPairOf, newKey, provider } from './keys.ts';
import { type Subject, serverName, subjectUri } from './subject.ts';

/** A cluster's private authority. The key never leaves the head's data folder. Both PEM. */
export interface Authority {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** Life of an authority, in milliseconds: longer than a cluster's. */
const authorityLifeMs = 30 * 365 * 24 * 3_600_000;
/** How far clocks of a lab may be apart, in milliseconds. */
const skewMs = 10 * 60_000;
/** Longest request that is read, in characters; ours have about 450. */
const requestMax = 4_096;

/** Makes the authority of a new cluster. */
export async function makeAuthority(clusterId: ClusterId, nowMs: number, random: Random): Promise<Authority> {
  const keyPem = newKey();
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: `CN=labrun ${clusterId}`,
      keys: await keyPairOf(keyPem),
      signingAlgorithm: algorithm,
      serialNumber: newSerial(random),
      notBefore: new Date(nowMs - skewMs),
      notAfter: new Date(nowMs + authorityLifeMs),
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    },
    provider,
  );
  return { certificatePem: pemOf(certificate), keyPem };
}

/**
 * Certifies the key of a request for a subject, from now for `lifeMs`. Nothing but the key is taken from the request.
 * Answers PEM; nothing when the request is none, is not for a key of ours, or is not signed by its own key.
 */
export async function certify(
  authority: Authority,
  requestPem: string,
  subject: Subject,
  nowMs: number,
  lifeMs: number,
  random: Random,
): Promise<string | undefined> {
  const publicKey = await keyOf(requestPem);
  if (!publicKey) return undefined;
  const issuer = new X509Certificate(authority.certificatePem);
  const usages =
    subject.kind === 'user'
      ? [ExtendedKeyUsage.clientAuth]
      : [ExtendedKeyUsage.clientAuth, ExtendedKeyUsage.serverAuth];
  const certificate = await X509CertificateGenerator.create(
    {
      subject: `CN=labrun ${subject.kind}`,
      issuer: issuer.subject,
      publicKey,
      signingKey: (await keyPairOf(authority.keyPem)).privateKey,
      signingAlgorithm: algorithm,
      serialNumber: newSerial(random),
      notBefore: new Date(nowMs - skewMs),
      notAfter: new Date(nowMs + lifeMs),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension(usages, false),
        new SubjectAlternativeNameExtension(namesOf(subject), true),
      ],
    },
    provider,
  );
  return pemOf(certificate);
}

/** Clients of other makers check a host's name and nothing else: they are told to expect this one. */
function namesOf(subject: Subject) {
  const uri = { type: 'url', value: subjectUri(subject) } as const;
  return subject.kind === 'head' ? [uri, { type: 'dns', value: serverName } as const] : [uri];
}

async function keyOf(requestPem: string): Promise<PublicKey | undefined> {
  if (requestPem.length > requestMax) return undefined;
  try {
    const request = new Pkcs10CertificateRequest(requestPem);
    const { name, namedCurve }: Record<string, unknown> = { ...request.publicKey.algorithm };
    if (name !== algorithm.name || namedCurve !== algorithm.namedCurve) return undefined;
    return (await request.verify(provider)) ? request.publicKey : undefined;
  } catch {
    return undefined; // whatever a stranger sent, it is no request
  }
}

/** Of 120 bits, nearly all random; DER wants it positive. */
function newSerial(random: Random): string {
  const bytes = Buffer.from(random.bytes(15));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

/** With its last line ended, so that certificates can follow each other. */
function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString('pem').trimEnd()}\n`;
}
