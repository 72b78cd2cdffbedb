import { z } from 'zod';

/**
 * A map with these keys and no others. The message of an unknown key lists the known ones, a line each, for `check.ts`
 * to find the nearest.
 */
export function section<Shape extends z.core.$ZodShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const known = Object.keys(shape).join('\n');
  return z.strictObject(shape, { error: ({ code }) => (code === 'unrecognized_keys' ? known : undefined) });
}

/** A key of a later release: known, and refused. */
export function notYet(what: string) {
  return z.never({ error: `not yet: ${what} comes with a later release of labrun; leave it out for now` }).optional();
}

/** A text, and for editors also what plain YAML would take for something else: axis values, environment. */
export function asWritten(what: string) {
  return z
    .union([z.string(), z.number(), z.boolean()], { error: `expected ${what}, as text or number` })
    .transform((value) => String(value));
}
