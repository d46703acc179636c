/** A mirror as clients are told of it. */
import type { MirrorFacts } from '../../src/clients/client-config.ts'

export const FACTS: MirrorFacts = {
  url: 'https://mirror.example',
  upstreams: ['docker.io', 'quay.io'],
  defaultUpstream: 'docker.io',
  ca: undefined,
  login: undefined,
  fallback: true,
}

export const PEM = `-----BEGIN CERTIFICATE-----
MIIB9zCCAZ2gAwIBAgIUeXRw
-----END CERTIFICATE-----
`

/** One that parsers of certificates read; nothing is signed by it. */
export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBfTCCASOgAwIBAgIUGcxdQfAJxsB7lYC/4olqabs4iL4wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJYXV0aG9yaXR5MB4XDTI2MTEyMjEzNTU1NVoXDTM2MTExOTEz
NTU1NVowFDESMBAGA1UEAwwJYXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEiM0xBjGpbLEW2EYh2gtHHhKZxbPoXEnJuR+CmKPBLml29M0z5H4EyL+a
3EIlF+6+vxbGYLMh5ckygN6wSr19tKNTMFEwHQYDVR0OBBYEFFqeoLpTvjPUKnlY
IB7ezNhUOl5FMB8GA1UdIwQYMBaAFFqeoLpTvjPUKnlYIB7ezNhUOl5FMA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAO742fLR2cx8vDm+dSbmEvmG
uRT/7Hfn5jJVKC8uiCfMAiA8rFdIWWsXroCgWmo1opiTNEoUW6edZKZcW6X9NBgA
MA==
-----END CERTIFICATE-----
`
