import { createPrivateKey, createPublicKey, generateKeyPairSync, webcrypto } from 'node:crypto';

/** Every key of a cluster: small, fast, and understood everywhere. */
export const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** Node's Web Crypto, which the X.509 library works with. */
export const provider = webcrypto;

/** A new private key, in PEM. */
export function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** A key pair of Web Crypto, from its private key in PEM. */
export async function keyPairOf(keyPem: string): Promise<webcrypto.CryptoKeyPair> {
  const privateKey = createPrivateKey(keyPem);
  const publicKey = createPublicKey(privateKey);
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return {
    privateKey: await provider.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']),
    publicKey: await provider.subtle.importKey('spki', spki, algorithm, true, ['verify']),
  };
}
