import { hashBytes } from '../../base/transfer/hash.ts';

/** CRC-32C (Castagnoli; reflected polynomial 0x82F63B78, RFC 3720 appendix B.4), the check of each stored value. */
export function crc32c(...parts: readonly Uint8Array[]): number {
  let crc = 0xffffffff;
  for (const part of parts) for (const byte of part) crc = (table[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** The link to the next record: the first 16 bytes of BLAKE3 over the previous link and the record's body. */
export function chainHash(previous: Uint8Array, body: Uint8Array): Buffer {
  return Buffer.from(hashBytes(Buffer.concat([previous, body])).slice('blake3:'.length, 'blake3:'.length + 32), 'hex');
}

/** What the first record links to. */
export const chainStart = Buffer.alloc(16);

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});
