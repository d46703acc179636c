// @ts-check
/** What the mirror is to reach, beside others in the same run, and whether it does. Pure. */
import { catalogShape } from './scenarios/catalog.mjs'
import { hotBlobShape } from './scenarios/hot-blob.mjs'
import { binary } from './scenarios/scenario.mjs'
import { ONE, TWO, WORKERS_HERD, workersShape } from './scenarios/workers.mjs'
import { groupRounds, medianOf } from './statistics.mjs'

/**
 * @typedef {object} Aim
 * @property {string} what
 * @property {boolean} isAtMost whether less is better
 * @property {number} aim
 * @property {number} [first] what comes before it
 * @property {number} digits
 * @property {number} value measured; NaN where it was not
 * @property {'yes' | 'the first' | 'no' | '–'} verdict
 *
 * @typedef {(scenario: string, shape: string, key: string, subject?: string) => number} Look median; NaN where nothing was measured
 */

/** Bytes of the memory cache that the mirror is measured with: the default. */
const MEMORY_CACHE = 64 * 2 ** 20
/** Counters and their quotients are whole; this much is lost in computing them. */
const EXACT = 0.001

/**
 * @param {import('./statistics.mjs').Results} results
 * @param {import('./sizes.mjs').Sizes} sizes
 * @returns {Aim[]} those of which anything was measured
 */
export function judgeAims(results, sizes) {
  /** @type {Look} */
  const look = (scenario, shape, key, subject = 'entrepot') => {
    const rounds = results[scenario]?.filter((it) => it.shape === shape && it.subject === subject)
    return medianOf(rounds ?? [], key)
  }
  return [
    ...smallAnswers(look),
    ...largeBlobs(look, sizes),
    ...coldPulls(look, sizes),
    ...theRest(look, sizes),
    atMost('most memory in any scenario with one worker, MB', mostMemory(results), {
      aim: 150 + MEMORY_CACHE / 1e6,
      digits: 0,
    }),
  ].filter(({ value }) => !Number.isNaN(value))
}

/**
 * @param {Look} look
 * @returns {Aim[]}
 */
function smallAnswers(look) {
  const ratio = (/** @type {string} */ shape, /** @type {string} */ peer) =>
    look('hot-manifest', shape, 'rate') / look('hot-manifest', shape, 'rate', peer)
  const tiny = look('hot-tiny', '', 'rate') / look('hot-tiny', '', 'rate', 'nginx-cache')
  const besideCache = { first: 0.6, aim: 0.9, digits: 2 }
  return [
    ...['GET by tag', 'GET by digest', 'HEAD by tag'].map((shape) =>
      atLeast(
        `hot manifest, ${shape}: requests/s ÷ nginx proxy_cache`,
        ratio(shape, 'nginx-cache'),
        besideCache,
      ),
    ),
    atLeast(
      'hot manifest, GET by tag: requests/s ÷ distribution',
      ratio('GET by tag', 'distribution'),
      { aim: 180, digits: 0 },
    ),
    atLeast(
      'hot manifest, GET by digest: requests/s ÷ distribution',
      ratio('GET by digest', 'distribution'),
      { aim: 50, digits: 0 },
    ),
    atMost(
      'hot manifest, GET by tag: upstream requests each',
      look('hot-manifest', 'GET by tag', 'upstream'),
      { aim: 0, digits: 2 },
    ),
    atLeast('hot 1 KiB blob: requests/s ÷ nginx proxy_cache', tiny, besideCache),
  ]
}

/**
 * @param {Look} look
 * @param {import('./sizes.mjs').Sizes} sizes
 * @returns {Aim[]}
 */
function largeBlobs(look, { smallBlob, mediumBlob, largeBlob, hugeBlob, crowd }) {
  const small = hotBlobShape(smallBlob, 8)
  const smallCpu = look('hot-blob', small, 'cpu')
  // Whichever of the two is better.
  const nginxCpu = Math.min(
    look('hot-blob', small, 'cpu', 'nginx-static'),
    look('hot-blob', small, 'cpu', 'nginx-cache'),
  )
  /** The worst of all sizes. */
  const beside = (
    /** @type {string} */ peer,
    /** @type {string} */ subject,
    /** @type {readonly number[]} */ connections,
  ) =>
    Math.min(
      ...[mediumBlob, largeBlob, hugeBlob]
        .flatMap((size) => connections.map((count) => hotBlobShape(size, count)))
        .map(
          (shape) =>
            look('hot-blob', shape, 'rate', subject) / look('hot-blob', shape, 'rate', peer),
        ),
    )
  const all = [1, 8, crowd]
  const portable = 'entrepot-portable'
  return [
    atMost('hot 1 MiB blob, 8 clients: CPU per GB ÷ nginx', smallCpu / nginxCpu, {
      first: 1.6,
      aim: 1.1,
      digits: 2,
    }),
    atLeast(
      'hot large blobs, the worst shape: GB/s ÷ nginx',
      beside('nginx-static', 'entrepot', all),
      {
        aim: 1,
        digits: 2,
      },
    ),
    atLeast(
      'the same without sendfile, 8 clients and more',
      beside('nginx-static', portable, [8, crowd]),
      { aim: 0.6, digits: 2 },
    ),
    atLeast(
      'hot large blobs, the worst shape: GB/s ÷ distribution',
      beside('distribution', 'entrepot', all),
      { aim: 1.3, digits: 2 },
    ),
    atLeast('the same without sendfile', beside('distribution', portable, all), {
      aim: 1,
      digits: 2,
    }),
  ]
}

/**
 * @param {Look} look
 * @param {import('./sizes.mjs').Sizes} sizes
 * @returns {Aim[]}
 */
function coldPulls(look, { largeBlob }) {
  const large = binary(largeBlob)
  const herdTime = look('herd', '', 'seconds') / look('herd', '', 'seconds', 'nginx-cache')
  const once = { aim: 1 + EXACT, digits: 2 }
  const single = { aim: 1, digits: 0 }
  return [
    atMost('herd: upstream bytes ÷ blob', look('herd', '', 'amplification'), once),
    atMost('herd: upstream requests', look('herd', '', 'requests'), single),
    atMost(
      'herd, 2 workers: upstream bytes ÷ blob',
      look('workers', WORKERS_HERD, 'amplification'),
      once,
    ),
    atMost('herd, 2 workers: upstream requests', look('workers', WORKERS_HERD, 'requests'), single),
    atMost('herd: first byte, median s', look('herd', '', 'firstByte'), { aim: 0.1, digits: 2 }),
    atMost('herd: all done ÷ nginx', herdTime, { aim: 0.9, digits: 2 }),
    atMost(`cold ${large}: time ÷ direct`, look('cold-single', large, 'ratio'), {
      aim: 1.03,
      digits: 2,
    }),
    atMost(`cold ${large}: CPU-s/GB`, look('cold-single', large, 'cpu'), { aim: 2, digits: 2 }),
    atMost('cold range: whole answer, s', look('cold-range', '', 'seconds'), {
      aim: 0.15,
      digits: 2,
    }),
    // The range itself may be asked for beside the rest.
    atMost(
      'cold range: upstream bytes ÷ blob',
      look('cold-range', '', 'amplification') + look('cold-range', '', 'later'),
      { aim: 1.01, digits: 2 },
    ),
    atMost('slow connections: time ÷ direct', look('slow-connections', '', 'ratio'), {
      aim: 0.5,
      digits: 2,
    }),
    atMost(
      'slow connections: upstream bytes ÷ blob',
      look('slow-connections', '', 'amplification'),
      once,
    ),
  ]
}

/**
 * @param {Look} look
 * @param {import('./sizes.mjs').Sizes} sizes
 * @returns {Aim[]}
 */
function theRest(look, { catalogs, tinyBlob, mediumBlob, largeBlob, crowd }) {
  const most = Math.max(...catalogs)
  const growth = ['manifest by tag', binary(tinyBlob)].map(
    (thing) =>
      look('catalog', catalogShape(thing, most), 'rate') /
      look('catalog', catalogShape(thing, Math.min(...catalogs)), 'rate'),
  )
  const gain = (/** @type {number} */ size, /** @type {number} */ connections) =>
    look('workers', workersShape(size, connections, TWO), 'rate') /
    look('workers', workersShape(size, connections, ONE), 'rate')
  return [
    atMost('idle connections: kB each', look('idle', '', 'each'), { aim: 20, digits: 1 }),
    // The clock of the kernel's accounting ticks in 1/100 s.
    atMost('idle connections: CPU, % of a core', look('idle', '', 'cpu'), { aim: 0.5, digits: 1 }),
    atLeast(
      `${most.toLocaleString('en')} blobs: requests/s ÷ one blob, the worse`,
      Math.min(...growth),
      { aim: 0.95, digits: 2 },
    ),
    atLeast(
      'hot large blobs, 2 workers on 2 cores ÷ 1 on 1, the worse',
      Math.min(gain(mediumBlob, 8), gain(largeBlob, crowd)),
      { aim: 1.7, digits: 2 },
    ),
  ]
}

/** @param {import('./statistics.mjs').Results} results */
function mostMemory(results) {
  const keys = ['memory', 'hot', 'hotSlow']
  const measured = Object.entries(results)
    .filter(([scenario]) => scenario !== 'workers')
    .flatMap(([, measurements]) => groupRounds(measurements, ['entrepot']))
    .flatMap(({ rounds }) => keys.map((key) => medianOf(rounds, key)))
  const known = measured.filter((megabytes) => !Number.isNaN(megabytes))
  return known.length === 0 ? Number.NaN : Math.max(...known)
}

/** @typedef {Pick<Aim, 'aim' | 'first' | 'digits'>} Bounds */

/**
 * @param {string} what
 * @param {number} value
 * @param {Bounds} bounds
 * @returns {Aim}
 */
function atLeast(what, value, bounds) {
  const verdict = judge(value, bounds, (bound) => value >= bound)
  return { what, isAtMost: false, value, ...bounds, verdict }
}

/**
 * @param {string} what
 * @param {number} value
 * @param {Bounds} bounds
 * @returns {Aim}
 */
function atMost(what, value, bounds) {
  const verdict = judge(value, bounds, (bound) => value <= bound)
  return { what, isAtMost: true, value, ...bounds, verdict }
}

/**
 * @param {number} value
 * @param {Bounds} bounds
 * @param {(bound: number) => boolean} meets
 * @returns {Aim['verdict']}
 */
function judge(value, { aim, first }, meets) {
  if (Number.isNaN(value)) return '–'
  if (meets(aim)) return 'yes'
  return first !== undefined && meets(first) ? 'the first' : 'no'
}
