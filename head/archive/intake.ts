import { RefusedError, refused } from '../../base/errors.ts';
import { type AttemptId, attemptId } from '../../base/ids.ts';
import { asContentHash, type ContentHash } from '../../base/transfer/hash.ts';
import { Turns } from '../../base/turns.ts';
import type { ArchiveIntake } from '../dispatch/intake.ts';
import type { Publisher } from './publisher.ts';
import { type Sealed, sealAttempt } from './seal.ts';
import type { Staging } from './staging.ts';

/** Manifests from this size on are read one at a time, in bytes: all their paths are held meanwhile. */
const largeManifestBytes = 2 ** 20;

/** Where archives arrive, for the agents' sessions. */
export function archiveIntake(staging: Staging, publisher: Pick<Publisher, 'room'>): ArchiveIntake {
  const large = new Turns(1);
  const running = new Map<AttemptId, Promise<Sealed>>();
  /** One after the other: a node that dials again may report an end whose archive is being checked. */
  const inTurn = async (id: AttemptId, hash: ContentHash): Promise<Sealed> => {
    const before = running.get(id);
    const sealing = (async () => {
      await before?.catch(() => undefined); // whoever asked for that one hears of it
      const attempt = await staging.open(id);
      const isLarge = (attempt.facts('manifest')?.sizeBytes ?? 0) >= largeManifestBytes;
      return await (isLarge ? large.take(() => sealAttempt(attempt, hash)) : sealAttempt(attempt, hash));
    })();
    running.set(id, sealing);
    try {
      return await sealing;
    } finally {
      if (running.get(id) === sealing) running.delete(id);
    }
  };
  return {
    room: () => publisher.room(),
    async seal(attempt, manifestHash) {
      const hash = asContentHash(manifestHash);
      if (!hash) return refused('invalid', `Cannot accept an archive: "${manifestHash}" is no content's hash`);
      await publisher.room();
      try {
        const sealed = await inTurn(attemptId(attempt, attempt.attempt), hash);
        return sealed.kind === 'sealed' ? sealed : { kind: 'resend', paths: sealed.paths };
      } catch (error) {
        if (error instanceof RefusedError) return error.refusal;
        throw error;
      }
    },
  };
}
