// @ts-check
/** What the figures depend on, in one line. */
import { spawnSync } from 'node:child_process'
import { cpus, release } from 'node:os'
import { isInstalled } from './processes.mjs'

/** @param {readonly string[]} subjects */
export function describeEnvironment(subjects) {
  const processors = cpus()
  const facts = [
    `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}`,
    `Linux ${release().split('-', 1)[0]}`,
    `Node ${process.version}`,
  ]
  if (subjects.some((name) => name.startsWith('distribution')))
    facts.push(versionOf('docker-registry', '--version'))
  if (subjects.some((name) => name.startsWith('nginx'))) facts.push(versionOf('nginx', '-v'))
  if (!isInstalled('taskset')) facts.push('nothing pinned to a core')
  return facts.join('; ')
}

/**
 * @param {string} tool
 * @param {string} option
 */
function versionOf(tool, option) {
  const { stdout, stderr } = spawnSync(tool, [option], { encoding: 'utf8' })
  const version = /\d+(?:\.\d+)+\S*/.exec(`${stdout}${stderr}`)?.[0] ?? 'of unknown version'
  return `${tool} ${version}`
}
