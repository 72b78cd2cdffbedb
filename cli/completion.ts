import type { Command, Option } from 'commander';
import { exitCodes, usageError } from './exit.ts';
import type { Printer } from './print.ts';

/** Prints a completion script for a shell, made from the commands themselves. */
export function completion(program: Command) {
  return async ([shell]: readonly string[], _: object, print: Printer): Promise<number> => {
    const make = shell === undefined ? undefined : scripts[shell];
    if (!make) throw usageError(`Cannot complete for "${shell}": choose one of ${Object.keys(scripts).join(', ')}`);
    await print.bytes(Buffer.from(make(entriesOf(program))));
    return exitCodes.done;
  };
}

/** A command as the shells need it: its words, what may come next, and its options. */
interface Entry {
  /** `head start`; empty for the program itself. */
  readonly words: string;
  readonly next: readonly { readonly name: string; readonly about: string }[];
  readonly options: readonly Option[];
  /** Whether it takes a selector: the head knows what that may be. */
  readonly selects: boolean;
}

function entriesOf(command: Command, before: readonly string[] = [], inherited: readonly Option[] = []): Entry[] {
  const shown = command.createHelp().visibleCommands(command);
  const options = [...command.options, ...inherited];
  const next = shown.map((one) => ({ name: one.name(), about: one.description() }));
  const inner = shown
    .filter((one) => one.name() !== 'help')
    .flatMap((one) => entriesOf(one, [...before, one.name()], before.length === 0 ? command.options : inherited));
  const selects = command.registeredArguments.some((argument) => argument.name().includes('SEL'));
  return [{ words: before.join(' '), next, options, selects }, ...inner];
}

const scripts: Readonly<Record<string, (entries: readonly Entry[]) => string>> = { bash, zsh, fish };

/** Words that may come after a command; where it takes a file, files are offered besides. */
function wordsOf({ next, options }: Entry): string {
  return [...next.map(({ name }) => name), ...options.flatMap(({ long }) => (long ? [long] : []))].join(' ');
}

/** Options that are followed by a value, in all their spellings. */
function valuedOf(entries: readonly Entry[]): string[] {
  const valued = entries.flatMap(({ options }) => options.filter(({ required }) => required));
  return [...new Set(valued.flatMap(({ short, long }) => [short, long].flatMap((flag) => flag ?? [])))].sort();
}

/**
 * Bash and zsh (through bashcompinit) share one function: it finds the command among the words before the cursor. Words
 * of the head need no quotes: `__complete` prints nothing but names, which hold neither spaces nor what a shell expands.
 */
function bash(entries: readonly Entry[]): string {
  const groups = entries.filter(({ words, next }) => words !== '' && next.length > 0).map(({ words }) => words);
  const cases = entries.map((entry) => `    '${entry.words}') words='${wordsOf(entry)}' ;;`);
  const selecting = entries.filter(({ selects }) => selects).map(({ words }) => `'${words}'`);
  return `# labrun's completion for bash: source <(labrun completion bash)
_labrun() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command='' word words='' option='' head=''
  for word in "\${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}"; do
    if [ -n "$option" ]; then
      if [ "$option" = --head ]; then head="$word"; fi
      option=''
      continue
    fi
    case "$word" in
      ${valuedOf(entries).join('|')}) option="$word"; continue ;;
      -*) continue ;;
    esac
    case "$command" in
      '') command="$word" ;;
      ${groups.map((group) => `'${group}'`).join('|')}) command="$command $word" ;;
    esac
  done
  COMPREPLY=()
  if [ -n "$option" ]; then return; fi
  case "$command" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case "$current" in -*) return ;; esac
  case "$command" in
    ${selecting.join('|')})
      COMPREPLY+=($(LABRUN_HEAD="\${head:-\${LABRUN_HEAD-}}" "\${COMP_WORDS[0]}" __complete "$current" 2>/dev/null)) ;;
  esac
}
complete -o default -o bashdefault -F _labrun labrun
`;
}

function zsh(entries: readonly Entry[]): string {
  const body = bash(entries).split('\n').slice(1).join('\n');
  return `# labrun's completion for zsh: source <(labrun completion zsh)
autoload -U +X bashcompinit && bashcompinit
${body}`;
}

function fish(entries: readonly Entry[]): string {
  const quoted = (text: string) => `'${text.replace(/['\\]/g, '\\$&')}'`;
  const lines = entries.flatMap(({ words, next, options, selects }) => {
    const parts = words === '' ? [] : words.split(' ');
    const seen = parts.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    const names = next.map(({ name }) => name).join(' ');
    const here = words === '' ? '__fish_use_subcommand' : `${seen}; and not __fish_seen_subcommand_from ${names}`;
    return [
      ...(selects
        ? [`complete -c labrun -n ${quoted(seen)} -a '(labrun __complete (commandline -ct) 2>/dev/null)'`]
        : []),
      ...next.map(({ name, about }) => `complete -c labrun -f -n ${quoted(here)} -a ${name} -d ${quoted(about)}`),
      ...options.map((option) => {
        const flags = [option.short ? `-s ${option.short.slice(1)}` : '', `-l ${option.long?.slice(2) ?? ''}`];
        const value = option.required || option.optional ? '-r' : '';
        const where = words === '' ? '' : `-n ${quoted(seen)}`;
        return ['complete -c labrun', where, ...flags, value, `-d ${quoted(option.description)}`]
          .filter((part) => part !== '')
          .join(' ');
      }),
    ];
  });
  return `# labrun's completion for fish: labrun completion fish | source\n${lines.join('\n')}\n`;
}
