import { Fault } from '../base/errors.ts';
import { asContentHash, type ContentHash } from '../base/transfer/hash.ts';
import type { HeadEngine } from './ports.ts';
import type { Specs } from './specs.ts';

/** What batches need. */
export interface Pinned {
  /** By namespace: specs, job files, and every input. */
  readonly wanted: ReadonlyMap<string, ReadonlySet<ContentHash>>;
  /** A spec is gone, and with it what else its batch needs: nothing can be said not to be wanted. */
  readonly isComplete: boolean;
}

/** What the batches of each namespace need now. */
export async function pinnedBlobs(engine: Pick<HeadEngine, 'query'>, specs: Specs): Promise<Pinned> {
  const parts = await engine.query((state) =>
    [...state.batches.values()].flatMap((batch) =>
      batch.parts.map(({ specHash, sourceHash }) => ({ namespace: batch.namespace, specHash, sourceHash })),
    ),
  );
  const pinned = new Map<string, Set<ContentHash>>();
  let isComplete = true;
  for (const { namespace, specHash, sourceHash } of parts) {
    const own = pinned.get(namespace) ?? new Set<ContentHash>();
    pinned.set(namespace, own);
    const pin = (text: string) => {
      const hash = asContentHash(text);
      if (hash) own.add(hash);
    };
    pin(specHash);
    pin(sourceHash);
    const spec = await specs.get(specHash).catch((error: unknown) => {
      if (!(error instanceof Fault) || error.code !== 'lost') throw error;
      isComplete = false;
      return undefined;
    });
    for (const entries of Object.values(spec?.sources ?? {})) {
      for (const entry of entries) if (entry.kind === 'file') pin(entry.hash);
    }
  }
  return { wanted: pinned, isComplete };
}
