import { RefusedError, refused } from '../../base/errors.ts';
import { attemptId } from '../../base/ids.ts';
import { asContentHash } from '../../base/transfer/hash.ts';
import type { ArchiveIntake } from '../dispatch/intake.ts';
import type { Publisher } from './publisher.ts';
import { sealAttempt } from './seal.ts';
import type { Staging } from './staging.ts';

/** Where archives arrive, for the agents' sessions. */
export function archiveIntake(staging: Staging, publisher: Pick<Publisher, 'room'>): ArchiveIntake {
  return {
    room: () => publisher.room(),
    async seal(attempt, manifestHash) {
      const hash = asContentHash(manifestHash);
      if (!hash) return refused('invalid', `Cannot accept an archive: "${manifestHash}" is no content's hash`);
      await publisher.room();
      try {
        const sealed = await sealAttempt(await staging.open(attemptId(attempt, attempt.attempt)), hash);
        return sealed.kind === 'sealed' ? sealed : { kind: 'resend', paths: sealed.paths };
      } catch (error) {
        if (error instanceof RefusedError) return error.refusal;
        throw error;
      }
    },
  };
}
