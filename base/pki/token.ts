import { createHash, timingSafeEqual } from 'node:crypto';
import type { Random } from '../random.ts';

/** What lets a machine or a person in, once: shown when it is made, and kept nowhere. */
export interface Token {
  /** Names it in lists; no secret. */
  readonly id: string;
  readonly secret: string;
  /** Of the cluster's authority, so that the first connection is verified already. */
  readonly fingerprint: string;
}

const form = /^labrun1\.([A-Za-z0-9_-]{12})\.([A-Za-z0-9_-]{32})\.([A-Za-z0-9_-]{43})$/;

/** A new token for the authority with this fingerprint. */
export function newToken(fingerprint: string, random: Random): Token {
  const text = (bytes: number) => Buffer.from(random.bytes(bytes)).toString('base64url');
  return { id: text(9), secret: text(24), fingerprint };
}

/** The token as people copy it. */
export function formatToken({ id, secret, fingerprint }: Token): string {
  return `labrun1.${id}.${secret}.${fingerprint}`;
}

/** Reads what `formatToken` wrote; nothing when it is none, or a part was lost in copying. */
export function readToken(text: string): Token | undefined {
  const [, id, secret, fingerprint] = form.exec(text.trim()) ?? [];
  return id === undefined || secret === undefined || fingerprint === undefined
    ? undefined
    : { id, secret, fingerprint };
}

/** What is kept of a secret. It is random and long, so that one round of a plain hash cannot be turned back. */
export function secretHash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Compares in constant time. */
export function secretMatches(secret: string, hash: string): boolean {
  const expected = Buffer.from(hash, 'hex');
  const found = Buffer.from(secretHash(secret), 'hex');
  return expected.length === found.length && timingSafeEqual(expected, found);
}
