import type { JobGroup, Params } from './spec.ts';

/** `{{axis}}`, with blanks allowed inside the braces. */
const placeholder = /\{\{\s*([A-Za-z0-9_][A-Za-z0-9_.-]*)\s*\}\}/g;

/** Replaces `{{axis}}` by the job's value. A name that is no axis stays as it stands; readers refuse it beforehand. */
export function renderText(template: string, params: Params): string {
  if (!template.includes('{{')) return template;
  return template.replace(placeholder, (whole, axis: string) =>
    Object.hasOwn(params, axis) ? (params[axis] ?? whole) : whole,
  );
}

/**
 * Like `renderText`, each value as one word of a POSIX shell, whatever is in it. Values of harmless characters stay bare,
 * so that they read the same inside quotes of the script.
 */
export function renderShell(template: string, params: Params): string {
  if (!template.includes('{{')) return template;
  return template.replace(placeholder, (whole, axis: string, at: number) => {
    if (!Object.hasOwn(params, axis)) return whole;
    const value = params[axis] ?? '';
    // `echo {{n}}>out` with 2 for n must not redirect the errors.
    const redirects = /^\d+$/.test(value) && /^[<>]/.test(template.slice(at + whole.length, at + whole.length + 1));
    return redirects ? `'${value}'` : shellWord(value);
  });
}

/** The axes a template names, in order of appearance, each once. */
export function placeholdersIn(template: string): readonly string[] {
  return [...new Set([...template.matchAll(placeholder)].map(([, axis]) => axis ?? ''))];
}

/** Part of a template: a text, never empty, or an axis whose value goes there. */
export type TemplatePart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'axis'; readonly axis: string };

/** A template as its texts and the axes between them. */
export function splitTemplate(template: string): readonly TemplatePart[] {
  const parts = template
    .split(placeholder)
    .map((part, at): TemplatePart => (at % 2 === 1 ? { kind: 'axis', axis: part } : { kind: 'text', text: part }));
  return parts.filter((part) => part.kind === 'axis' || part.text !== '');
}

/** A job's name: its group's template, with values made fit for a name. */
export function jobNameOf(group: Pick<JobGroup, 'name'>, params: Params): string {
  if (!group.name.includes('{{')) return group.name;
  return group.name.replace(placeholder, (whole, axis: string) =>
    Object.hasOwn(params, axis) ? fitForName(params[axis] ?? '') : whole,
  );
}

/** A value as part of a name: every run of characters that names cannot hold becomes one `_`. */
export function fitForName(value: string): string {
  return value.replace(/[^A-Za-z0-9._+=,@-]+/g, '_');
}

function shellWord(value: string): string {
  return /^[A-Za-z0-9_./:@%+,-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
