import { RefusedError } from '../../base/errors.ts';
import { type ContentHash, hashBytes } from '../../base/transfer/hash.ts';
import { manifestEntries, stagedPathOf } from '../../base/transfer/manifest.ts';
import type { InlineArchive } from '../scheduler/event.ts';

/** Largest archive that may travel inside its report, in bytes: what the agents keep to, with room for one more line. */
const inlineMaxBytes = 16 * 2 ** 10;

/** What is wrong with an archive that travels inside its report, or nothing: it must be all that its manifest says. */
export function inlineProblem(inline: InlineArchive, manifestHash: ContentHash): string | undefined {
  const bytes = inline.files.reduce((sum, { data }) => sum + data.length, inline.manifest.length);
  if (bytes > inlineMaxBytes) return `has ${bytes} bytes (at most ${inlineMaxBytes})`;
  if (hashBytes(inline.manifest) !== manifestHash) return 'has another manifest than it says';
  const files = new Map(inline.files.map(({ path, data }) => [path, data]));
  try {
    for (const entry of manifestEntries(inline.manifest)) {
      if (entry.kind !== 'file') continue;
      const data = files.get(stagedPathOf(entry.path));
      if (!data || data.length !== entry.sizeBytes || hashBytes(data) !== entry.hash) {
        return `does not hold "${entry.path}" as its manifest lists it`;
      }
    }
  } catch (error) {
    if (error instanceof RefusedError) return `cannot be read: ${error.message}`;
    throw error;
  }
  return undefined;
}
