import { createSecureContext, type PeerCertificate } from 'node:tls';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import { isIssuedBy, readCertificate } from '../pki/certificate.ts';
import type { Address } from './address.ts';

/** What a client shows and believes: nobody but the head of its own cluster. All PEM. */
export interface ClientCredentials {
  readonly authorityPem: string;
  /** Absent while one is being asked for. */
  readonly own?: { readonly certificatePem: string; readonly keyPem: string };
}

/** An address, and what is needed to speak there; without credentials in plain text. */
export type Endpoint = Address & { readonly credentials?: ClientCredentials };

/** TLS 1.3 towards the head, which is known by its certificate and not by the name it is dialled by. */
export function channelCredentials({ authorityPem, own }: ClientCredentials): ChannelCredentials {
  const context = createSecureContext({
    ca: authorityPem,
    minVersion: 'TLSv1.3',
    ...(own ? { cert: own.certificatePem, key: own.keyPem } : {}),
  });
  return credentials.createFromSecureContext(context, {
    checkServerIdentity: (_host: string, peer: PeerCertificate) => headProblem(peer.raw, authorityPem),
  });
}

/** Why this is not the head of the authority's cluster, or nothing. A user's certificate must not pass for it. */
export function headProblem(certificate: Uint8Array, authorityPem: string): Error | undefined {
  const subject = readCertificate(certificate)?.subject;
  if (subject?.kind === 'head' && isIssuedBy(certificate, authorityPem)) return undefined;
  return new Error('what answers there is not the head of this cluster');
}
