import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { callerMetadata, callerOf } from '../../../base/channel/caller.ts';
import { errorFromStatus, statusFromError, statusFromRefusal } from '../../../base/channel/refusals.ts';
import { RefusedError, refused } from '../../../base/errors.ts';

const arriving = (answer: ReturnType<typeof statusFromRefusal>): ServiceError =>
  Object.assign(new Error(answer.details), answer);

describe('a refusal', () => {
  it('keeps its code and message across the wire', () => {
    for (const code of ['conflict', 'disk-full', 'limit', 'not-yet', 'stale'] as const) {
      const error = errorFromStatus(arriving(statusFromRefusal(refused(code, 'Cannot do it: because'))));
      expect(error).toBeInstanceOf(RefusedError);
      expect(error).toMatchObject({ refusal: { code, message: 'Cannot do it: because' } });
    }
  });

  it('is told from a fault, which keeps the name of its status', () => {
    const answer = statusFromError(new Error('the disk is on fire'));
    expect(answer.code).toBe(status.INTERNAL);
    expect(errorFromStatus(arriving(answer))).toMatchObject({ code: 'INTERNAL', message: 'the disk is on fire' });
  });
});

describe('a handshake that failed', () => {
  const failing = (details: string, code = status.UNAVAILABLE) =>
    errorFromStatus(Object.assign(new Error(details), { code, details, metadata: new Metadata() }));

  it('is told in words for people', () => {
    for (const [words, meaning] of [
      ['Last error: Error: self-signed certificate in certificate chain', /not the head of this cluster/],
      ['Last error: Error: what answers there is not the head of this cluster', /not the head of this cluster/],
      ['error:0A00010B:SSL routines:ssl3_get_record:wrong version number', /does not speak TLS:/],
      ['tlsv1 alert protocol version', /does not speak TLS 1\.3/],
      ['Last error: Error: certificate has expired', /clocks/],
    ] as const) {
      expect(failing(words)).toMatchObject({ code: 'stranger', message: expect.stringMatching(meaning) });
    }
  });

  it('is told from a head that is away, and from what a head says', () => {
    expect(failing('connect ECONNREFUSED 127.0.0.1:7420')).toMatchObject({ code: 'UNAVAILABLE' });
    expect(failing('certificate has expired', status.INTERNAL)).toMatchObject({ code: 'INTERNAL' });
  });
});

describe('a caller', () => {
  it('is who the metadata says, by a legal name', () => {
    expect(callerOf(callerMetadata({ kind: 'user', name: 'ada' }))).toEqual({ kind: 'user', name: 'ada' });
    expect(callerOf(callerMetadata({ kind: 'user', name: '../ada' }))).toMatchObject({ code: 'denied' });
    expect(callerOf(new Metadata())).toMatchObject({ code: 'denied' });
  });
});
