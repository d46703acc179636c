import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { ConfigError, InvalidValue } from '../../src/config/problem.ts'
import type { Config } from '../../src/config/schema.ts'

interface Surroundings {
  file?: string
  env?: NodeJS.ProcessEnv
}

export function parse(
  text: string,
  { file = '/etc/entrepot/mirrors.yml', env = {} }: Surroundings = {},
): Config {
  return parseConfig(text, { file, env })
}

/** The error of a configuration that must be refused. */
export function refusal(text: string, surroundings?: Surroundings): ConfigError {
  try {
    parse(text, surroundings)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('The configuration was accepted.')
}

/** The problems as `<line> <path>: <message>`. */
export function problems(text: string, surroundings?: Surroundings): string[] {
  return refusal(text, surroundings).problems.map(
    ({ line, path, message }) => `${line} ${path}: ${message}`,
  )
}

/** The message of the InvalidValue that must be thrown. */
export function invalid(read: () => unknown): string {
  try {
    read()
  } catch (error) {
    if (error instanceof InvalidValue) return error.message
    throw error
  }
  throw new Error('The value was accepted.')
}

/** A new folder with these files, removed after the test. */
export function folderWith(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-config-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return folder
}

/** Self-signed for a.mirror.example, valid for a hundred years, used nowhere. */
export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBjTCCATOgAwIBAgIUGVmAJvOpB64bfwbZPLDD1mfctBYwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQYS5taXJyb3IuZXhhbXBsZTAgFw0yNjExMjIwMDQ4MjZaGA8y
MTI2MTAyOTAwNDgyNlowGzEZMBcGA1UEAwwQYS5taXJyb3IuZXhhbXBsZTBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABPvxJCKvUQwXKrnzm0gW6MYahZR/xhsaTzoB
4J6j8Y3jvFlUY24vWy+MQhPXisRypeQnTxtQoZy71WYGAiMbaYejUzBRMB0GA1Ud
DgQWBBSwE8X9xzxbOH8CpBg6gAUUPQMCRTAfBgNVHSMEGDAWgBSwE8X9xzxbOH8C
pBg6gAUUPQMCRTAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQD0
ZqmxnM8xFR0/fMqUPTeBKokSxN2So1KhDmzzoWBJEQIgW5GXLLxCI4IPIYwInboa
y3V228r0XG+sWLfI5C7Q5kA=
-----END CERTIFICATE-----
`

export const CERTIFICATE_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2rihJXBOjClXelXY
xTF9APFkYmAPOrGZAFh0jmahPcihRANCAAT78SQir1EMFyq585tIFujGGoWUf8Yb
Gk86AeCeo/GN47xZVGNuL1svjEIT14rEcqXkJ08bUKGcu9VmBgIjG2mH
-----END PRIVATE KEY-----
`
