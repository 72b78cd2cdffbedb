import { type Context, createContext, Script } from 'node:vm';
import picomatch from 'picomatch';
import { Fault } from './errors.ts';

/** Longest glob, in characters. */
const globMaxLength = 1_000;

/**
 * A glob that comes from outside. A few stars can make a match take for years (`a*a*a*a*a*a*a*Z` against a long name),
 * and nothing else would happen meanwhile: so it is tried on many paths at a time, and that is cut off.
 */
export class Glob {
  readonly #text: string;
  readonly #context: Context;

  /** Throws `Fault` "glob" for one that is too long or cannot be read. Other `alternatives` fit as well. */
  constructor(text: string, options: picomatch.PicomatchOptions = {}, alternatives: readonly string[] = []) {
    if (text.length > globMaxLength) throw new Fault('glob', `it has more than ${globMaxLength} characters`);
    this.#text = text;
    try {
      const fits = picomatch([text, ...alternatives], options);
      this.#context = createContext({ fits: (path: string) => fits(path), paths: [] as string[] });
    } catch (error) {
      throw new Fault('glob', `"${text}" is no pattern`, { cause: error });
    }
  }

  /** Whether each path fits. Throws `Fault` "glob" when that takes longer than `maxMs`. */
  test(paths: readonly string[], maxMs: number): readonly boolean[] {
    this.#context['paths'] = paths;
    try {
      // An array of the context's own realm, which nobody here minds.
      return script.runInContext(this.#context, { timeout: Math.max(1, Math.round(maxMs)) }) as boolean[];
    } catch (error) {
      // Not by its class: the error is made in the context's own realm.
      if (Object(error).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
      throw new Fault('glob', `"${this.#text}" takes too long to match; write fewer stars`);
    }
  }
}

const script = new Script('paths.map(fits)');
