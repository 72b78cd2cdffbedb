import { z } from 'zod';
import { section } from './reading/section.ts';

/** What people may say in `~/.config/labrun/config.yaml`. */
export const cliFile = section({
  /** Where the head is, host:port or unix:PATH. Default: where one has logged in, else 127.0.0.1:7420. */
  head: z.string().min(1).optional(),
  /** What says who you are, once heads ask for it. */
  token: z.string().min(1).optional(),
  /** Whether output has colours. Default: auto, in a terminal. */
  colour: z.enum(['auto', 'always', 'never']).optional(),
});
