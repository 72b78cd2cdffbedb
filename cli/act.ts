import { homedir } from 'node:os';
import { Command } from 'commander';
import { readCliSettings } from '../config/cli.ts';
import type { Printer } from './print.ts';

/** Ends a command: called with the exit status. */
export type Finish = (code: number) => void;

/** What a command does, given its arguments, its options (the program's own, too) and a printer; answers the exit status. */
type Action<Options> = (args: readonly string[], options: Options, print: Printer) => Promise<number>;

/** Turns commander's way of calling into ours. The action is loaded now, and the exit status is what it answers. */
export function act<Options extends object>(
  finish: Finish,
  load: () => Promise<Action<Options>>,
): (...given: unknown[]) => Promise<void> {
  return async (...given) => {
    const command = given.at(-1);
    if (!(command instanceof Command)) throw new TypeError('commander calls actions with their command');
    const options = command.optsWithGlobals<Options & { color: boolean; colour: boolean }>();
    const { makePrinter } = await import('./print.ts');
    const action = await load();
    const { colour } = await readCliSettings(process.env, homedir());
    const wanted = options.color && options.colour ? colour : 'never';
    finish(await action(command.args, options, makePrinter(wanted)));
  };
}
