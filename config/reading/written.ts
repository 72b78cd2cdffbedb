import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { type Path, type Problem, pathText, problemsMax } from './problems.ts';
import { nestsTooDeep, quoteHint, syntaxProblem } from './yaml-syntax.ts';

/** Largest YAML or JSON file that is read, in bytes. */
export const writtenMaxBytes = 16 * 2 ** 20;
/** Most values a file may stand for once its aliases are followed. */
const valuesMax = 1_000_000;

/** Says at which paths a plain scalar is text as written (`0.10`, `1e-5`, `012`) and not a number. */
export type IsText = (path: Path) => boolean;

/** A YAML or JSON file: its values, where each was written, and what is wrong with it so far. */
export class Written {
  readonly file: string;
  readonly problems: Problem[] = [];
  /** The plain values; undefined when the text is no YAML at all. */
  readonly tree: unknown;
  readonly #lines = new LineCounter();
  readonly #text: string;
  readonly #root: Node | null = null;
  readonly #targets = new Map<Node, Node>();

  constructor(file: string, text: string, isText: IsText = () => false) {
    this.file = file;
    this.#text = text;
    if (Buffer.byteLength(text) > writtenMaxBytes) {
      this.#add(0, [], `has more than ${writtenMaxBytes / 2 ** 20} MiB; put many rows into a CSV (matrix: from:)`);
      return;
    }
    if (nestsTooDeep(text)) {
      this.#add(0, [], 'nests too deep to be meant');
      return;
    }
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const lines = new Set<number>();
    for (const error of document.errors) {
      const { line } = this.#lines.linePos(error.pos[0]);
      // The first error of a line is the mistake; what follows on it is mostly its echo.
      if (!lines.has(line)) this.#add(error.pos[0], [], syntaxProblem(error, text));
      lines.add(line);
    }
    if (this.problems.length > 0) return;
    this.#root = document.contents;
    const reader = new Reader(text, isText, this.#targets, (node, path, message) =>
      this.#add(node.range?.[0] ?? 0, path, message),
    );
    if (this.#root !== null) this.tree = reader.read(this.#root, []).value;
  }

  /** Notes a problem at the value of `path`, or at the nearest part of it that was written. */
  problem(path: Path, message: string, job?: string): void {
    this.#add(this.#offset(path, false), path, message, job);
  }

  /** Notes a problem with the key itself. */
  keyProblem(path: Path, message: string): void {
    this.#add(this.#offset(path, true), path, message);
  }

  #add(offset: number, path: Path, message: string, job?: string): void {
    if (this.problems.length >= problemsMax) return;
    const { line, col } = this.#text === '' ? { line: 1, col: 1 } : this.#lines.linePos(offset);
    const place = { file: this.file, line: Math.max(1, line), column: Math.max(1, col), path: pathText(path) };
    this.problems.push({ ...place, message, ...(job === undefined ? {} : { job }) });
  }

  #offset(path: Path, ofKey: boolean): number {
    let node = this.#root;
    let offset = node?.range?.[0] ?? 0;
    for (const [at, part] of path.entries()) {
      if (isAlias(node)) node = this.#targets.get(node) ?? null;
      let next: unknown;
      if (isSeq(node)) next = node.items[Number(part)];
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && keyText(key) === String(part));
        next = pair?.value ?? pair?.key;
        if (ofKey && at === path.length - 1 && isScalar(pair?.key)) return pair.key.range?.[0] ?? offset;
      }
      if (!isScalar(next) && !isMap(next) && !isSeq(next) && !isAlias(next)) return offset;
      node = next;
      offset = node.range?.[0] ?? offset;
    }
    return offset;
  }
}

/** A value, and how many values it stands for. */
interface Sized {
  readonly value: unknown;
  readonly size: number;
}

/**
 * Turns nodes into plain values. What an alias names is read once and shared, so that YAML whose aliases multiply
 * costs nothing; what it would expand to is counted.
 */
class Reader {
  readonly #text: string;
  readonly #isText: IsText;
  readonly #targets: Map<Node, Node>;
  readonly #problem: (node: Node, path: Path, message: string) => void;
  readonly #anchors = new Map<string, Node>();
  readonly #read = new Map<Node, Sized>();
  #tooLarge = false;

  constructor(
    text: string,
    isText: IsText,
    targets: Map<Node, Node>,
    problem: (node: Node, path: Path, message: string) => void,
  ) {
    this.#text = text;
    this.#isText = isText;
    this.#targets = targets;
    this.#problem = problem;
  }

  read(node: unknown, path: Path): Sized {
    if (isAlias(node)) return this.#alias(node, path);
    if (!isScalar(node) && !isMap(node) && !isSeq(node)) return { value: null, size: 1 };
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    const result = isScalar(node) ? this.#scalar(node, path) : this.#collection(node, path);
    if (node.anchor !== undefined) this.#read.set(node, result);
    if (result.size > valuesMax && !this.#tooLarge) {
      this.#tooLarge = true;
      this.#problem(node, path, `stands for more than ${valuesMax} values once its aliases are followed`);
    }
    return this.#tooLarge ? { value: null, size: 1 } : result;
  }

  #alias(node: Node & { source: string }, path: Path): Sized {
    const target = this.#anchors.get(node.source);
    if (target === undefined) {
      const hint = quoteHint(this.#text, node.range?.[0] ?? 0);
      this.#problem(node, path, `is an alias, "*${node.source}", that nothing defines${hint}`);
      return { value: undefined, size: 1 };
    }
    this.#targets.set(node, target);
    if (isScalar(target)) return this.#scalar(target, path);
    const known = this.#read.get(target);
    if (known === undefined) this.#problem(node, path, `contains itself through "*${node.source}"`);
    return known ?? { value: undefined, size: 1 };
  }

  #scalar(node: { value: unknown; source?: string; type?: string }, path: Path): Sized {
    const written = node.source ?? '';
    const plain = typeof node.value !== 'string' && written !== '' && this.#isText(path);
    return { value: plain ? written : node.value, size: 1 };
  }

  #collection(node: Node, path: Path): Sized {
    let size = 1;
    if (isSeq(node)) {
      const list = node.items.map((item, at) => {
        const result = this.read(item, [...path, at]);
        size += result.size;
        return result.value;
      });
      return { value: list, size };
    }
    const entries: [string, unknown][] = [];
    for (const { key, value } of isMap(node) ? node.items : []) {
      if (!isScalar(key)) {
        const hint = quoteHint(this.#text, node.range?.[0] ?? 0);
        this.#problem(node, path, `has a key that is no text${hint}`);
        return { value: undefined, size };
      }
      const result = this.read(value, [...path, keyText(key)]);
      size += result.size;
      entries.push([keyText(key), result.value]);
    }
    return { value: Object.fromEntries(entries), size };
  }
}

/** A key as written: `1e-5: …` and `0.10: …` are keys of these very texts. */
function keyText(key: { value: unknown; source?: string }): string {
  return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
}
