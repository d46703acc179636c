// @ts-check
/** What the command line asks for. */
import { parseArgs } from 'node:util'

export const USAGE = `node bench/run.mjs [scenario…] [options]

  --rounds N        rounds of each scenario; the report has the medians (default 3)
  --subjects A,B    servers to measure: entrepot, distribution, nginx (default: those installed)
  --out FILE        also writes every round as JSON
  --quick           small blobs, few clients, short times: to try the bench, not to measure
  --list            names the scenarios`

/** What was asked for cannot be done; the message is all that the user needs. */
export class UsageError extends Error {}

/** How much work the scenarios do. */
const FULL = {
  /** Bytes of the largest blob. */
  largeBlob: 256 * 1024 * 1024,
  mediumBlob: 32 * 1024 * 1024,
  smallBlob: 1024 * 1024,
  /** Clients of the cold herd. */
  herd: 50,
  /** Clients of the largest hot and memory shapes. */
  crowd: 64,
  /** Seconds of one hot measurement. */
  seconds: 1,
  /** Seconds after which a cold pull is given up. */
  deadline: 180,
  /** Seconds after which a crowd that is watched for its memory is sent home. */
  memorySeconds: 2,
  /** Clients that read slowly, and clients that do not, while the event loop is watched. */
  slowReaders: 1000,
  fastReaders: 50,
  /** Seconds for which it is watched. */
  eventLoopSeconds: 5,
  /** Bytes per second that the origin sends to all of its clients together. */
  originRate: 250e6,
  /** Bytes per second that one slow reader takes. */
  slowReader: 1e6,
}

/** @typedef {typeof FULL} Sizes */

/** @type {Sizes} */
const QUICK = {
  ...FULL,
  largeBlob: 16 * 1024 * 1024,
  mediumBlob: 4 * 1024 * 1024,
  herd: 8,
  crowd: 8,
  seconds: 0.3,
  memorySeconds: 0.5,
  slowReaders: 50,
  fastReaders: 8,
  eventLoopSeconds: 0.5,
}

/** @param {string[]} argv */
export function readArguments(argv) {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '3' },
      subjects: { type: 'string' },
      out: { type: 'string' },
      quick: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new UsageError(`--rounds takes a whole number from 1 on, not "${values.rounds}".`)
  }
  return {
    ...values,
    rounds,
    subjects: values.subjects?.split(','),
    scenarios: positionals,
    sizes: values.quick ? QUICK : FULL,
  }
}
