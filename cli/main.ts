#!/usr/bin/env node
import { Command } from 'commander';

const program = new Command('labrun').description('Runs batches of simulation jobs on the workstations a lab owns');

await program.parseAsync(process.argv);
