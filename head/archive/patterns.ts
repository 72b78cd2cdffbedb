import { type Refusal, refused } from '../../base/errors.ts';

/** Most patterns of one call, and the longest, in characters. */
const patternsMax = 64;
const patternMaxLength = 500;

/** Which files are wanted, by `<batch>/<job>/<path>`. */
export type FileFilter = (path: string) => boolean;

/**
 * Reads `include` and `exclude` expressions: unanchored, any one that matches counts. Folders are listed when nothing is
 * excluded by name; patterns are matched against paths of at most 1,300 bytes, so that none takes long.
 */
export function readFilter(include: readonly string[], exclude: readonly string[]): FileFilter | Refusal {
  if (include.length + exclude.length > patternsMax) {
    return refused('limit', `Cannot filter files: over ${patternsMax} patterns`);
  }
  const wanted = readPatterns('include', include);
  if (!Array.isArray(wanted)) return wanted;
  const unwanted = readPatterns('exclude', exclude);
  if (!Array.isArray(unwanted)) return unwanted;
  return (path) =>
    (wanted.length === 0 || wanted.some((pattern) => pattern.test(path))) &&
    !unwanted.some((pattern) => pattern.test(path));
}

function readPatterns(what: string, texts: readonly string[]): RegExp[] | Refusal {
  const patterns: RegExp[] = [];
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
      patterns.push(new RegExp(text));
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      return refused('invalid', `Cannot use the ${what} pattern "${text}": ${problem}`);
    }
  }
  return patterns;
}
