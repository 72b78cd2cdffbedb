import { createContext, Script } from 'node:vm';
import { type Refusal, RefusedError, refused } from '../../base/errors.ts';

/** Most patterns of one call, and the longest, in characters. */
const patternsMax = 64;
const patternMaxLength = 500;
/** Longest that one path may take, in milliseconds: nothing else happens in the head meanwhile. */
const matchMaxMs = 20;

/** Which files are wanted, by `<batch>/<job>/<path>`. */
export type FileFilter = (path: string) => boolean;

/**
 * Reads `include` and `exclude` expressions: unanchored, any one that matches counts. Folders are listed when nothing is
 * excluded by name. The filter throws `RefusedError` "limit" for a pattern that takes too long on a path.
 */
export function readFilter(include: readonly string[], exclude: readonly string[]): FileFilter | Refusal {
  if (include.length + exclude.length > patternsMax) {
    return refused('limit', `Cannot filter files: over ${patternsMax} patterns`);
  }
  const wanted = readPatterns('include', include);
  if (!Array.isArray(wanted)) return wanted;
  const unwanted = readPatterns('exclude', exclude);
  if (!Array.isArray(unwanted)) return unwanted;
  return (path) => (wanted.length === 0 || wanted.some((fits) => fits(path))) && !unwanted.some((fits) => fits(path));
}

function readPatterns(what: string, texts: readonly string[]): FileFilter[] | Refusal {
  const patterns: FileFilter[] = [];
  for (const text of texts) {
    if (text.length > patternMaxLength) {
      return refused('limit', `Cannot use an ${what} pattern: it has over ${patternMaxLength} characters`);
    }
    // Repetition inside repetition is what makes a match take for ever.
    if (/[*+}][^()]*\)\s*[*+{]/.test(text)) {
      return refused(
        'invalid',
        `Cannot use the ${what} pattern "${text}": a repetition inside a repetition is not taken`,
      );
    }
    try {
      patterns.push(boundedTest(new RegExp(text)));
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      return refused('invalid', `Cannot use the ${what} pattern "${text}": ${problem}`);
    }
  }
  return patterns;
}

/**
 * A test that is cut off in time. Several repetitions (`a*a*a*a*b`, `(a|a)*b`) make an engine that goes back try for
 * hours; one repetition of one character cannot, and is spared the watch.
 */
function boundedTest(pattern: RegExp): FileFilter {
  const repetitions = pattern.source.match(/[*+?{]/g)?.length ?? 0;
  if (repetitions === 0 || (repetitions === 1 && !/\)[*+?{]/.test(pattern.source))) return (path) => pattern.test(path);
  const context = createContext({ pattern, path: '' });
  const script = new Script('pattern.test(path)');
  return (path) => {
    context['path'] = path;
    try {
      return script.runInContext(context, { timeout: matchMaxMs }) === true;
    } catch (error) {
      // Not by its class: the error is made in the context's own realm.
      if (Object(error).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
      const message = `Cannot use the pattern "${pattern.source}": it takes too long on "${path}"; write fewer * and +`;
      throw new RefusedError(refused('limit', message));
    }
  };
}
