import { Fault } from '../base/errors.ts';
import { asContentHash, type ContentHash } from '../base/transfer/hash.ts';
import type { HeadEngine } from './ports.ts';
import type { Specs } from './specs.ts';

/** What the batches of each namespace need: their specs, their job files, and every input. */
export async function pinnedBlobs(
  engine: Pick<HeadEngine, 'query'>,
  specs: Specs,
): Promise<ReadonlyMap<string, ReadonlySet<ContentHash>>> {
  const parts = await engine.query((state) =>
    [...state.batches.values()].flatMap((batch) =>
      batch.parts.map(({ specHash, sourceHash }) => ({ namespace: batch.namespace, specHash, sourceHash })),
    ),
  );
  const pinned = new Map<string, Set<ContentHash>>();
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
      // Without its spec a batch cannot say what else it needs; that it is gone is told where it is looked for.
      if (error instanceof Fault && error.code === 'lost') return undefined;
      throw error;
    });
    for (const entries of Object.values(spec?.sources ?? {})) {
      for (const entry of entries) if (entry.kind === 'file') pin(entry.hash);
    }
  }
  return pinned;
}
