import { Command, Option } from 'commander';
import { addAccess } from './access-commands.ts';
import { act, type Finish } from './act.ts';
import { addDesk } from './desk-commands.ts';

/**
 * Every command of the program. Only names and options are here: what a command does is loaded when it is called, so
 * that help and completion stay fast.
 */
export function makeProgram(
  finish: Finish,
  write: { readonly out: (text: string) => void; readonly err: (text: string) => void },
): Command {
  const program = new Command('labrun')
    .configureOutput({ writeOut: write.out, writeErr: write.err })
    .description('Runs batches of simulation jobs on the workstations a lab already owns.')
    .option('--head <address>', 'where the head is: host:port or unix:PATH (default: LABRUN_HEAD, else this machine)')
    .option('--no-color', 'no colours (also: NO_COLOR=1)')
    .addOption(new Option('--no-colour').hideHelp())
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .addHelpText('after', selectorHelp)
    .exitOverride();
  addBatches(program, finish);
  addQueries(program, finish);
  addChanges(program, finish);
  addDelete(program, finish);
  addLocal(program, finish);
  addDesk(program, finish);
  addServices(program, finish);
  addAccess(program, finish);
  program
    .command('completion <SHELL>')
    .description('print the completion script for bash, zsh or fish')
    .action(act(finish, async () => (await import('./completion.ts')).completion(program)));
  program
    .command('__complete [WORD]', { hidden: true })
    .description('what a selector may become, for the completion scripts')
    .action(act(finish, async () => (await import('./complete.ts')).complete));
  return program;
}

const selectorHelp = `
SEL is [namespace/]batch[/job-or-glob]; a missing namespace is yours, and the beginning of a batch's name is enough.
Exit status: 0 done, 1 the work failed, 2 bad usage or file, 3 not found, 4 no connection or not allowed,
130 ended by Ctrl-C.`;

function addBatches(program: Command, finish: Finish): void {
  for (const [name, description] of [
    ['submit', 'send a batch to the head'],
    ['add', ''],
  ] as const) {
    program
      .command(`${name} [FILE]`, { hidden: description === '' })
      .description(description)
      .option('--dry-run', 'say what would happen, and change nothing')
      .option('--wait', 'show progress until the batch has ended; exits 1 if a job failed')
      .option('--name <name>', 'another name for the batch')
      .option('--add', 'queue the jobs that are new in an existing batch')
      .option('--changed', 'with --add: run changed jobs again, too')
      .option('--replace', 'cancel the batch of that name and start anew')
      .option('--yes', 'do not ask')
      .addOption(many('--where <axis=value>', 'only jobs with this parameter; repeat for more'))
      .option('--json', 'one JSON object')
      .action(act(finish, async () => (await import('./submit.ts')).submit));
  }
  program
    .command('validate [FILE]')
    .description('check a job file as submit would, without a head')
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./validate.ts')).validate));
  selecting(program.command('pull [FILE-or-SEL]').description('bring results here'))
    .option('--to <dir>', "the folder under which the batch's folder is made (default: this one)")
    .addOption(many('--include <regex>', 'only files whose <batch>/<job>/<path> matches; repeat for more'))
    .addOption(many('--exclude <regex>', 'all but files whose <batch>/<job>/<path> matches; repeat for more'))
    .option('--dry-run', 'say what would be fetched')
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./pull.ts')).pull));
  selecting(program.command('results <SEL>').description('a table of parameters and the values in result.json'))
    .option('--csv', 'as CSV')
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./results.ts')).results));
}

function addLocal(program: Command, finish: Finish): void {
  program
    .command('run [FILE]')
    .description('run a job file on this machine alone; needs no head')
    .option('--job <name>', 'only this job')
    .option('--to <dir>', "the folder under which the batch's folder is made (default: this one)")
    .option('--config <file>', 'capabilities and limits of this machine, as for an agent')
    .addOption(many('--where <axis=value>', 'only jobs with this parameter; repeat for more'))
    .option('--json', 'one JSON object at the end')
    .action(act(finish, async () => (await import('./run.ts')).run));
  program
    .command('template <KIND>')
    .description('print a job file to start from: command, python or apptainer')
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./template.ts')).template));
  program
    .command('demo')
    .description('a head, two agents and a sweep on this machine; keeps only the results')
    .option('--gfortran', 'with a solver in Fortran')
    .option('--openfoam', 'with the cavity of OpenFOAM')
    .option('--json', 'one JSON object at the end')
    .action(act(finish, async () => (await import('./demo.ts')).demo));
}

function addQueries(program: Command, finish: Finish): void {
  // distribute's names of the same questions work, but are not shown.
  for (const name of ['status', 'server-status']) {
    selecting(program.command(`${name} [SEL]`, { hidden: name !== 'status' }))
      .description('your batches, or one batch with its jobs and failures')
      .option('--all', "ended batches too, and everyone's")
      .option('--json', 'one JSON object')
      .action(act(finish, async () => (await import('./status.ts')).status));
  }
  for (const name of ['nodes', 'node-status']) {
    program
      .command(name, { hidden: name !== 'nodes' })
      .description('the machines and what they offer')
      .option('--json', 'one JSON object')
      .action(act(finish, async () => (await import('./nodes.ts')).nodes));
  }
  selecting(program.command('why <SEL>').description("why a job waits: every node's verdict"))
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./why.ts')).why));
  selecting(program.command('logs <SEL>').description("a job's log, or a build's"))
    .option('-f, --follow', 'until the job has ended')
    .option('--build <node>', 'the log of the build on that node')
    .option('--attempt <number>', 'of an earlier attempt')
    .action(act(finish, async () => (await import('./logs.ts')).logs));
  selecting(program.command('shell [SEL] [COMMAND...]').description('a terminal where a job runs, or a command there'))
    .option('--node <node>', 'on a node instead, for admins')
    .action(act(finish, async () => (await import('./shell.ts')).shell));
  selecting(program.command('events [SEL]').description('what happened, oldest first'))
    .option('-f, --follow', 'go on with what happens from now')
    .option('--since <seq>', 'from this sequence number')
    .option('--json', 'one JSON object a line')
    .action(act(finish, async () => (await import('./events.ts')).events));
}

function addChanges(program: Command, finish: Finish): void {
  selecting(program.command('wait <SEL>').description('wait until a batch has ended; exits 1 if a job failed'))
    .option('--json', 'one JSON object at the end')
    .action(act(finish, async () => (await import('./wait.ts')).wait));
  const changes = [
    ['cancel', 'cancel', 'stop jobs and give up those that wait'],
    ['cancel', 'kill', ''],
    ['hold', 'hold', 'let waiting jobs wait until they are released'],
    ['release', 'release', 'let held jobs go on'],
    ['retry', 'retry', 'run ended jobs again; say which, as in --state failed'],
  ] as const;
  for (const [verb, name, description] of changes) {
    selecting(program.command(`${name} <SEL>`, { hidden: description === '' }).description(description))
      .option('--json', 'one JSON object')
      .action(act(finish, async () => (await import('./change.ts')).change(verb)));
  }
  selecting(program.command('requeue <SEL>').description('stop jobs and let them wait for a node again'))
    .option('--not-on <node>', 'never on this node again; what runs on others goes on')
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./requeue.ts')).requeue));
}

function addDelete(program: Command, finish: Finish): void {
  program
    .command('delete <SEL>')
    .description("remove a batch's results from the archive, for good; it must have ended")
    .option('--yes', 'do not ask')
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./delete.ts')).deleteBatch));
}

function addServices(program: Command, finish: Finish): void {
  const head = program.command('head').description('the service on the storage machine');
  head
    .command('init')
    .description('make a new cluster')
    .requiredOption('--data <folder>', "the head's own folder")
    .option('--archive <folder>', 'where results are kept (default: archive/ in the data folder)')
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./head.ts')).initHead));
  head
    .command('backup <DIR>')
    .description('copy all it knows but results into a new folder of its machine, while it serves')
    .option('--data <folder>', "the head's own folder, whose socket is used")
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./backup.ts')).backup));
  head
    .command('restore <DIR>')
    .description('make a new data folder of a backup')
    .requiredOption('--data <folder>', "the head's new folder")
    .option('--archive <folder>', 'where results are, if not where they were')
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./backup.ts')).restore));
  starting(head.command('start').description('serve people and agents'), finish);
  installing(head, 'head', 'labrun', finish);
  starting(program.command('server', { hidden: true }), finish);
  const agent = program.command('agent').description('the service on a workstation');
  serving(agent.command('start').description('serve this machine to a head'), finish);
  installing(agent, 'agent', 'labrun-agent', finish);
  serving(program.command('client', { hidden: true }), finish);
  agent
    .command('join <HEAD>')
    .description('get this machine a certificate for a token, and remember the head')
    .requiredOption('--data <folder>', "the agent's own folder")
    .option(
      '--token <token>',
      'from "labrun token create --node"; "-" reads it from standard input (also: LABRUN_TOKEN)',
    )
    .option('--name <name>', "the node's name (default: the machine's)")
    .option('--owner <user>', 'who sits at this machine')
    .option('--dedicated', 'nobody sits at this machine')
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./agent.ts')).joinAgent));
}

/** `install` and `uninstall` of a service; run by root, once a machine. */
function installing(command: Command, kind: 'head' | 'agent', account: string, finish: Finish): void {
  const common = (part: Command) =>
    part
      .option('--data <folder>', "the service's own folder", `/var/lib/labrun-${kind}`)
      .option('--user <name>', 'the account it runs as', account)
      .option('--dry-run', 'print what would be done, and change nothing');
  const install = common(command.command('install').description('make its account, its folder and its systemd unit'));
  if (kind === 'agent') {
    install.option('--desk-group <group>', 'let its members pause the machine, and their sessions tell of them');
    install.option('--allow-setuid', 'let jobs use set-user-id programs, as some installations of Apptainer need');
  }
  install.action(act(finish, async () => (await import('./install.ts')).install(kind)));
  common(command.command('uninstall').description('take the unit away; jobs that run go on'))
    .option('--purge', 'remove its folder with all data, and its account, too')
    .action(act(finish, async () => (await import('./install.ts')).uninstall(kind)));
}

function serving(command: Command, finish: Finish): void {
  command
    .requiredOption('--data <folder>', "the agent's own folder")
    .option('--name <name>', "the node's name (default: the machine's)")
    .option('--config <file>', 'capabilities and limits of this machine')
    .option('--dedicated', 'nobody sits at this machine')
    .option('--log-level <level>', 'debug, info, warn or error', 'info')
    .action(act(finish, async () => (await import('./agent.ts')).startAgent));
}

function starting(command: Command, finish: Finish): void {
  command
    .requiredOption('--data <folder>', "the head's own folder")
    .option('--grpc <address>', 'where to listen: host:port (TLS) or unix:PATH; port 0 picks one')
    .option('--plain', 'no TLS, on a port of the loopback only: every account of this machine may do everything')
    .option('--accept-loss', 'go on without the records that a damaged log has lost')
    .option('--log-level <level>', 'debug, info, warn or error', 'info')
    .action(act(finish, async () => (await import('./head.ts')).startHead));
}

/** Adds the options of the selector grammar. */
function selecting(command: Command): Command {
  return command
    .addOption(many('--state <state>', 'only jobs in this state, or in one of several: failed,cancelled'))
    .addOption(many('--reason <reason>', 'only jobs that failed for this reason: exit, timeout, …'))
    .addOption(many('--where <axis=value>', 'only jobs with this parameter; repeat for more'));
}

function many(flags: string, description: string): Option {
  return new Option(flags, description).argParser((value: string, before: string[] | undefined) => [
    ...(before ?? []),
    value,
  ]);
}
