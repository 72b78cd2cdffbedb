import { RefusedError, refused } from '../errors.ts';
import { relativePathProblem } from '../names.ts';
import { asContentHash, type ContentHash } from './hash.ts';
import { linesOf } from './lines.ts';

/**
 * What an attempt left: one JSON object a line, `{"path","kind","size","mode","hash","target"}`, paths relative to the
 * job's folder. The log is listed like any file, as `.labrun/log`; nothing else under `.labrun` is a job's to write.
 */
export type ManifestEntry =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly sizeBytes: number;
      /** Permission bits. */
      readonly mode: number;
      readonly hash: ContentHash;
    }
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number }
  /** A symbolic link, kept as it was written; nothing ever follows it. */
  | { readonly kind: 'link'; readonly path: string; readonly target: string };

/** Where the log stands in the job's folder. */
export const logPath = '.labrun/log';
/** Most entries of one attempt: their paths are held while the manifest is checked. */
export const manifestEntriesMax = 500_000;
/** Longest line, in bytes; a path, a link's target and their escapes fit. */
const lineMaxBytes = 32 * 2 ** 10;
const targetMaxBytes = 4096;

/** The name a manifest's file has on the wire: `log`, or `archive/<path>`. */
export function stagedPathOf(path: string): string {
  return path === logPath ? 'log' : `archive/${path}`;
}

/** One line of the manifest, with its line end. */
export function manifestLine(entry: ManifestEntry): string {
  switch (entry.kind) {
    case 'file': {
      const { path, kind, sizeBytes, mode, hash } = entry;
      return `${JSON.stringify({ path, kind, size: sizeBytes, mode, hash })}\n`;
    }
    case 'folder':
      return `${JSON.stringify({ path: entry.path, kind: entry.kind, mode: entry.mode })}\n`;
    default:
      return `${JSON.stringify({ path: entry.path, kind: entry.kind, target: entry.target })}\n`;
  }
}

/**
 * Reads a manifest chunk by chunk and checks it as a whole: paths stay inside, come once, and lie under folders only.
 * Throws `RefusedError` "invalid" or "limit" that names the line.
 */
export async function* readManifest(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<ManifestEntry> {
  const tree = new ManifestTree();
  let lineNumber = 0;
  for await (const line of linesOf(chunks, lineMaxBytes, lineProblem)) {
    lineNumber += 1;
    if (lineNumber > manifestEntriesMax) {
      throw new RefusedError(refused('limit', `Cannot take the manifest: over ${manifestEntriesMax} entries`));
    }
    yield tree.read(line, lineNumber);
  }
}

/** The entries of a manifest that was checked as a whole before, one by one: nothing is held. Throws `RefusedError` like `readManifest`. */
export async function* readKeptManifest(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ManifestEntry> {
  let lineNumber = 0;
  for await (const line of linesOf(chunks, lineMaxBytes, lineProblem)) {
    lineNumber += 1;
    const entry = readLine(line);
    if (typeof entry !== 'string') yield entry;
    else throw new RefusedError(refused('invalid', `Cannot take the manifest: line ${lineNumber} ${entry}`));
  }
}

/** The entries of a manifest at hand, checked like `readManifest` does. Throws `RefusedError`. */
export function manifestEntries(bytes: Uint8Array): ManifestEntry[] {
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8').split('\n');
  if (lines.pop() !== '') throw cutOff();
  const tree = new ManifestTree();
  return lines.map((line, at) => tree.read(line, at + 1));
}

/** What has been listed, so that nothing comes twice or under something that is no folder. */
class ManifestTree {
  readonly #kinds = new Map<string, ManifestEntry['kind'] | 'implied'>();

  /** The entry of a line, which must fit those before it. Throws `RefusedError` that names the line. */
  read(line: string, lineNumber: number): ManifestEntry {
    const entry = readLine(line);
    const problem = typeof entry === 'string' ? entry : this.#problemOf(entry);
    if (typeof entry !== 'string' && !problem) return entry;
    throw new RefusedError(refused('invalid', `Cannot take the manifest: line ${lineNumber} ${problem}`));
  }

  #problemOf(entry: ManifestEntry): string | undefined {
    const known = this.#kinds.get(entry.path);
    if (known === 'implied' && entry.kind !== 'folder') return `lists the folder "${entry.path}" as a ${entry.kind}`;
    if (known !== undefined && known !== 'implied') return `lists "${entry.path}" again`;
    this.#kinds.set(entry.path, entry.kind);
    for (let cut = entry.path.lastIndexOf('/'); cut > 0; cut = entry.path.lastIndexOf('/', cut - 1)) {
      const parent = entry.path.slice(0, cut);
      const kind = this.#kinds.get(parent);
      if (kind === 'folder' || kind === 'implied') break;
      if (kind !== undefined) return `puts "${entry.path}" under "${parent}", which is a ${kind}`;
      this.#kinds.set(parent, 'implied');
    }
    return undefined;
  }
}

function lineProblem(why: 'long' | 'cut'): RefusedError {
  if (why === 'cut') return cutOff();
  return new RefusedError(refused('limit', `Cannot take the manifest: a line has over ${lineMaxBytes} bytes`));
}

function cutOff(): RefusedError {
  return new RefusedError(refused('invalid', 'Cannot take the manifest: its last line is cut off'));
}

/** The entry, or what is wrong with the line. */
function readLine(line: string): ManifestEntry | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'is not JSON';
  }
  if (typeof value !== 'object' || value === null) return 'is not an object';
  const { path, kind, size, mode, hash, target }: Record<string, unknown> = { ...value };
  if (typeof path !== 'string') return 'has no path';
  const problem = manifestPathProblem(path, kind);
  if (problem) return `has the path ${JSON.stringify(path)}, which ${problem}`;
  if (kind === 'link') {
    const fine = typeof target === 'string' && target !== '' && Buffer.byteLength(target) <= targetMaxBytes;
    return fine && !target.includes('\0') ? { kind, path, target } : 'is a link without a usable target';
  }
  if (!isCount(mode) || mode > 0o7777) return 'has no permission bits';
  if (kind === 'folder') return { kind, path, mode };
  if (kind !== 'file') return 'is neither a file, a folder nor a link';
  const contentHash = typeof hash === 'string' ? asContentHash(hash) : undefined;
  if (!isCount(size) || !contentHash) return 'is a file without size or hash';
  return { kind, path, sizeBytes: size, mode, hash: contentHash };
}

/** What is wrong with a path in a job's folder, or nothing. `.labrun` is labrun's own, but for the log. */
export function manifestPathProblem(path: string, kind: unknown): string | undefined {
  if (path.endsWith('/')) return 'ends in "/"';
  const problem = relativePathProblem(path);
  if (problem) return problem;
  const top = path.split('/', 1)[0] ?? '';
  if (top.toLowerCase() !== '.labrun' || (path === logPath && kind === 'file')) return undefined;
  return 'is kept for labrun itself';
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
