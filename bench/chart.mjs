// @ts-check
/** Horizontal bars as SVG that needs nothing else and is legible on light and on dark. */

/**
 * @typedef {object} Bar
 * @property {string} label
 * @property {string} color of CSS
 * @property {number} value
 * @property {string} text of the value
 *
 * @typedef {object} Chart
 * @property {string} title
 * @property {string} measure what the bars are, with the unit
 * @property {readonly { label: string, bars: readonly Bar[] }[]} groups
 */

const WIDTH = 760
const MARGIN = 16
const LABELS = 176
/** For the text of the longest bar. */
const TEXTS = 72
const BAR = 14
const GAP = 3
const HEADING = 24

/**
 * @param {Chart} chart
 * @returns {string}
 */
export function barChart({ title, measure, groups }) {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)))
  const scale = (WIDTH - 2 * MARGIN - LABELS - TEXTS) / (most > 0 ? most : 1)
  /** @type {string[]} */
  const lines = []
  let y = MARGIN + HEADING + HEADING
  for (const { label, bars } of groups) {
    if (label !== '') {
      lines.push(text(MARGIN, (y += HEADING) - 8, label, 'group'))
    }
    for (const bar of bars) {
      lines.push(drawBar(bar, y, scale))
      y += BAR + GAP
    }
  }
  const height = y + MARGIN
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escape(`${title}: ${measure}`)}">
<style>
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 14px; font-weight: 600; }
  .group { font-weight: 600; }
  .label { text-anchor: end; }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3; } }
</style>
${text(MARGIN, MARGIN + 12, title, 'title')}
${text(MARGIN, MARGIN + 32, measure, 'measure')}
${lines.join('\n')}
</svg>
`
}

/**
 * @param {Bar} bar
 * @param {number} y
 * @param {number} scale
 */
function drawBar({ label, color, value, text: figure }, y, scale) {
  const left = MARGIN + LABELS
  const width = Math.max(1, value * scale)
  const baseline = y + BAR - 3
  return [
    text(left - 8, baseline, label, 'label'),
    `<rect x="${left}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2" fill="${color}"/>`,
    text(Math.round(left + width + 6), baseline, figure, 'value'),
  ].join('')
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} words
 * @param {string} style
 */
function text(x, y, words, style) {
  return `<text x="${x}" y="${y}" class="${style}">${escape(words)}</text>`
}

/** @param {string} words */
function escape(words) {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
