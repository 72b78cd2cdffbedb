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

describe('a caller', () => {
  it('is who the metadata says, by a legal name', () => {
    expect(callerOf(callerMetadata({ kind: 'user', name: 'ada' }))).toEqual({ kind: 'user', name: 'ada' });
    expect(callerOf(callerMetadata({ kind: 'user', name: '../ada' }))).toMatchObject({ code: 'denied' });
    expect(callerOf(new Metadata())).toMatchObject({ code: 'denied' });
  });
});
