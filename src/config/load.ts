/** `mirrors.yml` → `Config`. */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { DOCKER_HUB } from '../oci/registry-name.ts'
import { readAccess } from './access.ts'
import { readDisk } from './disk.ts'
import { parseHostName, parsePublicUrl } from './endpoint.ts'
import { readCertificates, readFailure, readPrivateKey } from './files.ts'
import { parseApi, parseListen } from './listen.ts'
import { parseTrustedProxy } from './network.ts'
import { ConfigError, InvalidValue } from './problem.ts'
import { readShape } from './read-shape.ts'
import { Report } from './report.ts'
import { parseRule, parseUpstreamName } from './rule.ts'
import type { Config, Listen, TlsCertificate } from './schema.ts'
import { Section } from './section.ts'
import { readService } from './service.ts'
import type { FileShape } from './shape.ts'
import { readSource } from './source.ts'
import { readUpstreams } from './upstreams.ts'
import { readWarm } from './warm.ts'
import { readWebhook } from './webhook.ts'

const DEFAULT_LISTEN: Listen = { kind: 'tcp', host: '127.0.0.1', port: 5000 }
const DEFAULT_DATA = './data'

interface Origin {
  /** Shown in messages; relative names inside it are relative to its folder. */
  readonly file: string
  /** Where `${NAME}` is looked up. */
  readonly env: NodeJS.ProcessEnv
}

/**
 * @param file its path; the files that it names are read too
 * @throws {ConfigError} with everything that is wrong
 */
export function loadConfig(file: string, env: NodeJS.ProcessEnv): Config {
  return parseConfig(readConfigFile(file), { file, env })
}

/** @throws {ConfigError} with everything that is wrong */
export function parseConfig(text: string, { file, env }: Origin): Config {
  const source = readSource(text, env)
  const report = new Report(source)
  if (source.value === undefined) report.throwIfAny(file)
  const section = new Section<FileShape>(readShape(source.value, report), [], report)
  const config = readConfig(section, dirname(resolve(file)))
  report.throwIfAny(file)
  return config
}

function readConfigFile(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const message = `the configuration cannot be read: ${readFailure(error)}`
    throw new ConfigError(file, [{ path: '', message }])
  }
}

/** What is absent gets its default, and so does what is wrong, so that everything is looked at. */
function readConfig(file: Section<FileShape>, folder: string): Config {
  const upstreams = readUpstreams(file, folder)
  // When the file does not tell its upstreams, no name can be called wrong.
  const names = file.shape.upstreams ? new Set(upstreams.keys()) : undefined
  const checkUpstream = (text: string): string => parseUpstreamName(text, names)
  const checkRule = (text: string): string => parseRule(text, names)
  const listen = file.isAbsent('listen')
    ? DEFAULT_LISTEN
    : file.read('listen', (text) => parseListen(text, folder))
  return {
    listen: listen ?? DEFAULT_LISTEN,
    publicUrl: file.read('publicUrl', parsePublicUrl),
    data: file.read('data', (text) => parseFolder(text, folder)) ?? resolve(folder, DEFAULT_DATA),
    ...readDisk(file),
    pin: file.readList('pin', checkRule),
    ...readService(file),
    defaultUpstream:
      file.read('defaultUpstream', checkUpstream) ??
      (upstreams.has(DOCKER_HUB) ? DOCKER_HUB : undefined),
    upstreams,
    hosts: readHosts(file, checkUpstream),
    offline: file.shape.offline ?? false,
    rateLimitStatus: file.shape.rateLimitStatus ?? 503,
    tls: readTls(file, folder),
    ...readAccess(file, { folder, upstreams: names }),
    trustedProxies: file.readList('trustedProxies', parseTrustedProxy),
    api: file.read('api', (text) => parseApi(text, folder, listen)) ?? 'same',
    anonymousStatus: file.shape.anonymousStatus ?? true,
    logLevel: file.shape.logLevel ?? 'info',
    webhook: readWebhook(file, folder),
    warm: readWarm(file, { folder, upstreams: names }),
  }
}

function parseFolder(text: string, folder: string): string {
  if (text === '') throw new InvalidValue('is not the name of a folder; write for example ./data')
  return resolve(folder, text)
}

function readHosts(
  { shape, report }: Section<FileShape>,
  checkUpstream: (text: string) => string,
): ReadonlyMap<string, string> {
  const hosts = new Map<string, string>()
  for (const [key, value] of Object.entries(shape.hosts ?? {})) {
    const path = ['hosts', key]
    const host = report.read(path, key, parseHostName)
    const upstream = report.read(path, value ?? '', checkUpstream)
    if (host === undefined || upstream === undefined) continue
    if (hosts.has(host)) report.add(path, 'is there twice, in upper and lower case; keep one')
    hosts.set(host, upstream)
  }
  return hosts
}

function readTls(file: Section<FileShape>, folder: string): readonly TlsCertificate[] {
  return file.items('tls').flatMap((section) => {
    const files: string[] = []
    const certificate = section.require('certificate', 'the name of a PEM file', (name) => {
      files.push(resolve(folder, name))
      return readCertificates(folder, name)
    })
    const key = section.require('key', 'the name of a PEM file', (name) => {
      files.push(resolve(folder, name))
      return readPrivateKey(folder, name, certificate)
    })
    return certificate !== undefined && key !== undefined ? [{ certificate, key, files }] : []
  })
}
