import type { Path } from '../reading/problems.ts';
import type { Written } from '../reading/written.ts';
import type { CapabilityNeed, Needs } from '../spec.ts';
import type { NeedsEntry } from './labrun-file.ts';

/** What a node must have, from either form of `needs`. Nothing said: a whole node of any kind. */
export function resolveNeeds(written: Written, entry: NeedsEntry | undefined, at: Path): Needs {
  if (entry === undefined) return wholeNode([]);
  if (Array.isArray(entry)) return wholeNode(readAll(written, entry, at));
  const { cpus, ranks = 0, memory = 0, disk = 0, gpus = 0 } = entry;
  const threads = entry.threads ?? (ranks > 0 ? 1 : 0);
  const set = Math.max(1, ranks) * threads;
  if (cpus !== undefined && set > 0 && cpus !== set) {
    written.problem([...at, 'cpus'], `says ${cpus}, but ranks × threads are ${set}; leave cpus out`);
  }
  return {
    capabilities: readAll(written, entry.capabilities ?? [], [...at, 'capabilities']),
    cpus: set > 0 ? set : (cpus ?? 0),
    ranks,
    threads,
    memoryBytes: memory,
    diskBytes: disk,
    gpus,
  };
}

/** These capabilities, and all of the node that has them. */
export function wholeNode(capabilities: CapabilityNeed[]): Needs {
  return { capabilities, cpus: 0, ranks: 0, threads: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
}

/** `openfoam`, `openfoam>=1912`; nothing when it is neither. */
export function readCapability(text: string): CapabilityNeed | undefined {
  const match = /^([A-Za-z0-9][A-Za-z0-9._+-]*)(?:\s*(>=|<=|>|<|=)\s*([A-Za-z0-9][A-Za-z0-9._+-]*))?$/.exec(
    text.trim(),
  );
  const [, name, written, version] = match ?? [];
  const comparison = comparisons.find((known) => known === written);
  if (name === undefined) return undefined;
  return comparison === undefined || version === undefined ? { name } : { name, comparison, version };
}

const comparisons = ['>=', '<=', '>', '<', '='] as const;

function readAll(written: Written, texts: readonly string[], at: Path): CapabilityNeed[] {
  return texts.flatMap((text, index) => {
    const need = readCapability(text);
    if (need !== undefined) return [need];
    written.problem([...at, index], `expected a capability like "python3" or "openfoam>=1912", found "${text}"`);
    return [];
  });
}
