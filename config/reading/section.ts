import { z } from 'zod';
import { didYouMean } from './nearest.ts';

/** A map with these keys and no others; an unknown key is told with the nearest known one. */
export function section<Shape extends z.core.$ZodShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const known = Object.keys(shape);
  const object = z.object(shape).catchall(
    z.never({
      error: ({ path }) => {
        const key = String(path?.at(-1) ?? '');
        return `${unknownKey} "${key}"${didYouMean(key, known) || ` (known: ${known.join(', ')})`}`;
      },
    }),
  );
  // What passes has no key beyond the shape, as of a strict object; the difference is the message.
  return object as unknown as z.ZodObject<Shape, z.core.$strict>;
}

/** How messages about unknown keys begin; their place is the key, not the value. */
export const unknownKey = 'unknown key';

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
