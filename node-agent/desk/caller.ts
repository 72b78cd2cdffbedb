import { lstat, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, isSystemError, type Refusal, refused } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { runCommand } from '../machine/run-command.ts';
import { standardPath } from '../scratch/environment.ts';

/** Somebody at this machine. */
export interface DeskCaller {
  readonly uid: number;
  /** Name of the account; its number where it has none. */
  readonly name: string;
}

/** A proof's name: what the caller made up. */
const proofShape = /^[0-9a-f]{32}$/;
/** A directory of names that does not answer must not keep anybody waiting, in milliseconds. */
const lookupTimeoutMs = 3_000;

/**
 * Knows who calls on the desk socket. Node cannot ask a socket for its peer, so callers prove themselves with the file
 * system: they make a symbolic link in a folder of ours, whose name and target are the secret they send along. Its owner
 * is who made it; nobody else could have made one with that target, and each works once.
 */
export class DeskCallers {
  readonly #folder: string;
  readonly #path: string;
  readonly #names = new Map<number, string>();

  /** `path` is where programs are looked for. */
  constructor(folder: string, path = standardPath) {
    this.#folder = folder;
    this.#path = path;
  }

  /** The caller who sent this proof. */
  async identify(proof: string): Promise<DeskCaller | Refusal> {
    if (!proofShape.test(proof)) return unproven;
    const path = join(this.#folder, proof);
    try {
      const { uid } = await lstat(path);
      if ((await readlink(path)) !== proof) return unproven;
      return { uid, name: await this.#nameOf(uid) };
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'EINVAL')) return unproven;
      throw error;
    } finally {
      await rm(path, { force: true });
    }
  }

  async #nameOf(uid: number): Promise<string> {
    const known = this.#names.get(uid);
    if (known !== undefined) return known;
    const name = await lookUp(uid, this.#path);
    // Who could not be found is looked for again: the names of a lab may be on a machine that is away for a while.
    if (name !== undefined) this.#names.set(uid, name);
    return name ?? String(uid);
  }
}

/** Nothing where no account has this number, or nobody can tell: people who want their machine do not wait for that. */
async function lookUp(uid: number, path: string): Promise<string | undefined> {
  try {
    const { exitCode, stdout } = await runCommand(['getent', 'passwd', String(uid)], {
      env: { PATH: path },
      timeoutMs: lookupTimeoutMs,
    });
    return (exitCode === 0 && stdout.split(':')[0]) || undefined;
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

/** Makes the folder for proofs anew; what an earlier agent left there proves nothing. */
export async function makeProofs(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await makeFolder(folder);
}

const unproven = refused('denied', 'Cannot take the call: it does not prove who makes it; use labrun on this machine');
