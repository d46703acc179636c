// @ts-check
/** What the command line asks for. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { FULL, QUICK } from './sizes.mjs'

export const USAGE = `npm run bench -- [scenario…] [options]

  --rounds N        rounds of each scenario; the report has the medians (default 3)
  --subjects A,B    servers to measure (default: those installed; --list names them)
  --build FOLDER    the built mirror to measure (default: dist)
  --before FOLDER   another build of it, measured beside the first
  --out FILE        also writes every round as JSON
  --from FILE,…     measures nothing: takes what --out has written
  --save            writes every round and the charts into bench/results
  --readme          as --save, and writes the tables into bench/README.md
  --quick           small blobs, few clients, short times: to try the bench, not to measure
  --list            names scenarios and servers`

/** What was asked for cannot be done; the message is all that the user needs. */
export class UsageError extends Error {}

/** @param {string[]} argv */
export function readArguments(argv) {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '3' },
      subjects: { type: 'string' },
      build: { type: 'string', default: fileURLToPath(new URL('../dist', import.meta.url)) },
      before: { type: 'string' },
      out: { type: 'string' },
      from: { type: 'string' },
      save: { type: 'boolean', default: false },
      readme: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new UsageError(`--rounds takes a whole number from 1 on, not "${values.rounds}".`)
  }
  if (values.readme && values.quick) throw new UsageError('--quick measures nothing to be told.')
  return {
    ...values,
    rounds,
    subjects: values.subjects?.split(','),
    scenarios: positionals,
    sizes: values.quick ? QUICK : FULL,
  }
}
