/** How the command that fetches beforehand is called. */

/** By command. */
export const WARM_USAGE: readonly (readonly [name: string, usage: string])[] = [
  [
    'warm',
    `entrepot warm IMAGE…: fetch images before anybody pulls them

  --file FILE         a list of images in YAML, as skopeo sync reads it; - for
                      standard input
  --platform PLATFORM
                      of images for several, such as linux/arm64, as often as
                      needed; without it Linux on what the mirror runs on
  --all-platforms     of images for several, all
  --concurrency N     downloads at a time, 4 unless said otherwise, 16 at most
  --dry-run           only say what would be fetched; upstream is asked for lists
                      of tags alone
  --json              print what happens for programs, one event a line

On the host of the mirror; if it runs, it is asked to do it:
  --config FILE       configuration; without it mirrors.yml in the current
                      folder, else the example that comes with the program
  --data DIR          data folder, in place of what the file says
From elsewhere:
  --server URL        the mirror, as https://host:port or unix:<path>
  --token-file FILE   file with a token that may operate; else the variable
                      ENTREPOT_TOKEN. It is not sent over plain HTTP, except
                      to the own host.

What is here already is not fetched again, so that a run that was given up goes
on where it was. One image that fails keeps no other from coming. It ends with 0
when all are here, with 1 when some failed.

Examples:
  entrepot warm docker.io/library/redis:7 quay.io/prometheus/node-exporter:latest
  entrepot warm --file images.yml --platform linux/amd64 --platform linux/arm64
  entrepot warm --file images.yml --dry-run
  entrepot warm docker.io/library/alpine:3 --server https://mirror.example`,
  ],
]
