import { describe, expect, it } from 'vitest';
import { dataCodec } from '../../../base/channel/data-codec.ts';
import { ArchiveChunk } from '../../../proto/gen/labrun/v1/archive.ts';

const codec = dataCodec(ArchiveChunk, 5);

function aChunk(bytes: number): ArchiveChunk {
  const clusterId = 'c1';
  return {
    target: { $case: 'attempt', value: { clusterId, batchId: 'b1', index: 300, attempt: 2 } },
    path: 'archive/größe',
    offset: 2n ** 40n + 5n,
    data: Buffer.from(Array.from({ length: bytes }, (_, at) => at % 251)),
    truncate: true,
    finalHash: `blake3:${'a'.repeat(64)}`,
  };
}

function asGenerated(chunk: ArchiveChunk): Buffer {
  return Buffer.from(ArchiveChunk.encode(chunk).finish());
}

describe('a message with bytes of a file', () => {
  it.each([0, 1, 127, 128, 16_383, 16_384, 262_144])('of %i is read as written, by old peers and new ones', (bytes) => {
    const chunk = aChunk(bytes);
    const { data: written, ...others } = chunk;
    const read = [
      ArchiveChunk.decode(codec.serialize(chunk)),
      codec.deserialize(codec.serialize(chunk)),
      codec.deserialize(asGenerated(chunk)),
    ];
    for (const { data, ...rest } of read) {
      expect(data.equals(written)).toBe(true);
      expect(rest).toEqual(others);
    }
  });

  it('is read without its bytes being copied', () => {
    const bytes = codec.serialize(aChunk(1000));
    expect(codec.deserialize(bytes).data.buffer).toBe(bytes.buffer);
  });

  it('keeps fields that a later release may add', () => {
    const later = Buffer.concat([codec.serialize(aChunk(10)), Buffer.from([0xf8, 0x01, 0x07])]);
    expect(codec.deserialize(later)).toEqual(aChunk(10));
  });

  it('counts as the last one says when its bytes come twice, as for every reader', () => {
    const twice = Buffer.concat([Buffer.from([42, 1, 9]), codec.serialize(aChunk(10))]);
    expect(codec.deserialize(twice)).toEqual(ArchiveChunk.decode(twice));
  });

  it.each(Array.from({ length: 40 }, (_, cut) => cut + 1))('is refused when its last %i bytes are missing', (cut) => {
    const whole = codec.serialize(aChunk(30));
    const part = whole.subarray(0, whole.length - cut);
    const read = (reader: (bytes: Buffer) => ArchiveChunk) => {
      try {
        return reader(part);
      } catch {
        return 'refused';
      }
    };
    expect(read(codec.deserialize)).toEqual(read((bytes) => ArchiveChunk.decode(bytes)));
  });
});
