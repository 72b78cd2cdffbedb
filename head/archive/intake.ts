import { diskLimits, makeBackoff } from '../../base/backoff.ts';
import { type Clock, delay } from '../../base/clock.ts';
import { Fault, isSystemError, messageOf, RefusedError, refused } from '../../base/errors.ts';
import { type AttemptId, attemptId } from '../../base/ids.ts';
import type { Random } from '../../base/random.ts';
import { asContentHash, type ContentHash } from '../../base/transfer/hash.ts';
import { Turns } from '../../base/turns.ts';
import type { Disks } from '../disk-watch.ts';
import type { ArchiveIntake } from '../dispatch/intake.ts';
import type { AttemptRef } from '../scheduler/attempt.ts';
import { diskTrouble } from './durable.ts';
import type { Publisher } from './publisher.ts';
import { type Sealed, sealAttempt } from './seal.ts';
import type { Staging } from './staging.ts';

/** Manifests from this size on are read one at a time, in bytes: all their paths are held meanwhile. */
const largeManifestBytes = 2 ** 20;

/** What taking in archives needs. */
export interface IntakePorts {
  readonly staging: Pick<Staging, 'openLive'>;
  readonly publisher: Pick<Publisher, 'room'>;
  readonly disks: Disks;
  readonly clock: Clock;
  readonly random: Random;
}

/** Where archives arrive, for the agents' sessions. */
export function archiveIntake({ staging, publisher, disks, clock, random }: IntakePorts): ArchiveIntake {
  const large = new Turns(1);
  const running = new Map<AttemptId, Promise<Sealed>>();
  /** One after the other: a node that dials again may report an end whose archive is being checked. */
  const inTurn = async (ref: AttemptRef, hash: ContentHash): Promise<Sealed> => {
    const id = attemptId(ref, ref.attempt);
    const before = running.get(id);
    const sealing = (async (): Promise<Sealed> => {
      await before?.catch(() => undefined); // whoever asked for that one hears of it
      try {
        const attempt = await staging.openLive(ref);
        // What it is told of then is refused, or has been noted already.
        if (!attempt) return { kind: 'sealed' };
        const isLarge = (attempt.facts('manifest')?.sizeBytes ?? 0) >= largeManifestBytes;
        return await (isLarge ? large.take(() => sealAttempt(attempt, hash)) : sealAttempt(attempt, hash));
      } catch (error) {
        throw diskTrouble(error, 'accept an archive');
      }
    })();
    running.set(id, sealing);
    try {
      return await sealing;
    } finally {
      if (running.get(id) === sealing) running.delete(id);
    }
  };
  /** Nothing of it is sent again: what is staged stays staged until the disk takes the rest. */
  const whenDiskTakesIt = async (ref: AttemptRef, hash: ContentHash, signal: AbortSignal): Promise<Sealed> => {
    const backoff = makeBackoff(diskLimits, random);
    for (;;) {
      signal.throwIfAborted();
      try {
        return await inTurn(ref, hash);
      } catch (error) {
        if (!willPass(error)) throw error;
        disks.failed('archive', messageOf(error));
      }
      await delay(clock, backoff.nextMs(), signal);
    }
  };
  return {
    room: () => publisher.room(),
    async seal(attempt, manifestHash, signal) {
      const hash = asContentHash(manifestHash);
      if (!hash) return refused('invalid', `Cannot accept an archive: "${manifestHash}" is no content's hash`);
      await publisher.room();
      try {
        const sealed = await whenDiskTakesIt(attempt, hash, signal);
        return sealed.kind === 'sealed' ? sealed : { kind: 'resend', paths: sealed.paths };
      } catch (error) {
        if (error instanceof RefusedError) return error.refusal;
        throw error;
      }
    },
  };
}

/** Of a disk that fails, or is another machine's and away. */
const passing = [
  'EIO',
  'EACCES',
  'EPERM',
  'ESTALE',
  'ETIMEDOUT',
  'EREMOTEIO',
  'ENOTCONN',
  'EHOSTDOWN',
  'EAGAIN',
  'EBUSY',
];

/** Whether the trouble is the disk's or the process's, and not the archive's. */
function willPass(error: unknown): boolean {
  if (error instanceof RefusedError) return error.refusal.code === 'disk-full' || error.refusal.code === 'busy';
  return error instanceof Fault && isSystemError(error.cause, ...passing);
}
