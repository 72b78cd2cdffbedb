import { expect, it } from 'vitest';
import { formatToken, newToken, readToken, secretHash, secretMatches } from '../../../base/pki/token.ts';
import { systemRandom } from '../../../base/random.ts';

const fingerprint = 'A'.repeat(43);

it('survives being copied, with blanks around it', () => {
  const token = newToken(fingerprint, systemRandom);
  expect(readToken(` ${formatToken(token)}\n`)).toEqual(token);
});

it('is none when a part was lost in copying', () => {
  const text = formatToken(newToken(fingerprint, systemRandom));
  for (const part of [text.slice(1), text.slice(0, -1), text.replace('.', ''), `${text}x`, '']) {
    expect(readToken(part)).toBeUndefined();
  }
});

it('is known by the hash of its secret alone', () => {
  const { secret } = newToken(fingerprint, systemRandom);
  const hash = secretHash(secret);
  expect(secretMatches(secret, hash)).toBe(true);
  expect(secretMatches(`${secret.slice(0, -1)}!`, hash)).toBe(false);
  expect(secretMatches(secret, '')).toBe(false);
});
