import 'reflect-metadata';
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { algorithm, keyPairOf, newKey, provider } from './keys.ts';

/** A new key, which stays on the machine that made it, and the request to have it certified. Both PEM. */
export interface KeyRequest {
  readonly keyPem: string;
  readonly requestPem: string;
}

/** Makes a key and a request for it. Whom it is to speak for is the authority's word, not the request's. */
export async function makeKeyRequest(): Promise<KeyRequest> {
  const keyPem = newKey();
  const keys = await keyPairOf(keyPem);
  const wanted = { name: 'CN=labrun', keys, signingAlgorithm: algorithm };
  const request = await Pkcs10CertificateRequestGenerator.create(wanted, provider);
  return { keyPem, requestPem: request.toString('pem') };
}
