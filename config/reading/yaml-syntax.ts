import type { YAMLError } from 'yaml';

/** Deepest nesting that is parsed. The parser recurses, and real files stay below ten. */
const nestingMax = 500;

/**
 * Whether the text could nest deeper than a parser that recurses can follow. Counts brackets and list marks without
 * looking at quotes: a text that fails by that is not one somebody meant.
 */
export function nestsTooDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character === openBracket || character === openBrace) depth++;
    else if ((character === closeBracket || character === closeBrace) && depth > 0) depth--;
    if (depth > nestingMax) return true;
  }
  return manyMarks.test(text);
}

const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d];
/** `- - - …` and `? ? ? …`: each mark is one level. */
const manyMarks = new RegExp(`^[ \\t]*(?:[-?:][ \\t]+){${nestingMax},}`, 'm');

/** What is wrong where the text is no YAML, with the way out where it is a known trap. */
export function syntaxProblem(error: YAMLError, text: string): string {
  switch (error.code) {
    case 'DUPLICATE_KEY':
      return `the key ${JSON.stringify(wordAt(text, error.pos[0]))} is here twice`;
    case 'TAB_AS_INDENT':
      return 'is indented by a tab; YAML takes spaces';
    case 'MULTIPLE_DOCS':
      return 'starts a second document ("---"); a file holds one';
    case 'BLOCK_AS_IMPLICIT_KEY':
      return 'has ": " inside a plain text; put the text in quotes, or below after "|"';
    default:
      return `is no YAML: ${lowerFirst(error.message)}${quoteHint(text, error.pos[0])}`;
  }
}

/** `; quote this: "{{mesh}}.msh"` where braces or a leading `*` on the line mean something else to YAML. */
export function quoteHint(text: string, offset: number): string {
  const from = text.lastIndexOf('\n', offset - 1) + 1;
  const to = text.indexOf('\n', offset);
  const line = text.slice(from, to === -1 ? text.length : to);
  const unquoted = line.replace(/"(?:[^"\\]|\\.)*"|'[^']*'/g, (quoted) => ' '.repeat(quoted.length));
  const words = [...unquoted.matchAll(/[^\s,[\]"'#]*\{\{[^{}]*\}\}[^\s,[\]"'#]*|(?<![^\s,[])\*[^\s,\]]+/g)];
  const at = offset - from;
  const [word] = words.find((match) => match.index <= at && at <= match.index + match[0].length) ?? words[0] ?? [];
  return word === undefined ? '' : `; quote this: "${word}"`;
}

function wordAt(text: string, offset: number): string {
  return /^["']?([^\s:"',{}]*)/.exec(text.slice(offset, offset + 100))?.[1] ?? '';
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
