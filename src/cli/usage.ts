/** What `entrepot help` says: what there is, and of each command how it is called. */
import { OPERATOR_USAGE } from './usage-operators.ts'

export const USAGE = `entrepot: a pull-through mirror for container images

  entrepot serve [options]            run the mirror
  entrepot check-config [options]     say whether the configuration is right
  entrepot status [options]           say how a running mirror is doing
  entrepot offline on|off|status      ask no upstream, or ask again; a running
                                      mirror follows within two seconds
  entrepot gc [options]               remove what is over the budget or too old
  entrepot verify [options]           check every stored file against its digest

Of operators, on the host of the mirror or from elsewhere:
  entrepot allow add|remove|list      what may come in
  entrepot deny add|remove|list       what is kept out, whatever is allowed
  entrepot requests [list]|approve|dismiss
                                      who asked in vain for what
  entrepot explain IMAGE              what would become of a pull, and why
  entrepot users list|add|passwd|grant|remove
                                      who may log in with a password
  entrepot tokens list|add|remove     keys for robots
  entrepot content list|approve|withdraw|freeze|unfreeze
                                      single digests and tags
  entrepot audit                      who changed what, and when

  entrepot help COMMAND               the options of one, and examples

Options:
  --config FILE       configuration; without it mirrors.yml in the current
                      folder, else the example that comes with the program
  --listen ADDR       host:port or unix:<path>, in place of what the file says
  --data DIR          data folder, in place of what the file says
  --json              print data for programs
  --server URL        a running mirror, as https://host:port or unix:<path>
  --token-file FILE   the token that says who asks it; else ENTREPOT_TOKEN

Examples:
  entrepot serve --config /etc/entrepot/mirrors.yml
  entrepot status --server http://mirror.example:5000 --json
  entrepot allow add 'docker.io/library/*' --reason 'for the build' --for 14d
  entrepot requests
  entrepot gc --dry-run
  entrepot verify --rebuild`

const SOURCE = `  --config FILE    configuration; without it mirrors.yml in the current folder,
                   else the example that comes with the program
  --data DIR       data folder, in place of what the file says`

/** By command. */
export const COMMAND_USAGE: ReadonlyMap<string, string> = new Map([
  [
    'serve',
    `entrepot serve: run the mirror until it is told to end

${SOURCE}
  --listen ADDR    host:port or unix:<path>, in place of what the file says

The file is read again when it changes, and at SIGHUP.

Examples:
  entrepot serve --config /etc/entrepot/mirrors.yml
  entrepot serve --listen 127.0.0.1:5000 --data /var/lib/entrepot`,
  ],
  [
    'check-config',
    `entrepot check-config: say whether the configuration is right, and what it means

${SOURCE}
  --listen ADDR    host:port or unix:<path>, in place of what the file says

Example:
  entrepot check-config --config /etc/entrepot/mirrors.yml`,
  ],
  [
    'status',
    `entrepot status: say how a running mirror is doing

  --server URL        the mirror to ask, as https://host:port or unix:<path>;
                      without it the one that the configuration describes
  --token-file FILE   file with a token, where the mirror wants to know who
                      asks; else ENTREPOT_TOKEN. It needs the right "operate".
  --json              print data for programs
  --config FILE       configuration; without it mirrors.yml in the current
                      folder, else the example that comes with the program
  --listen ADDR       host:port or unix:<path>, in place of what the file says

Examples:
  entrepot status
  entrepot status --server http://mirror.example:5000 --json`,
  ],
  [
    'offline',
    `entrepot offline on|off|status: ask no upstream, or ask again

${SOURCE}

A running mirror follows within two seconds.

Example:
  entrepot offline on --data /var/lib/entrepot`,
  ],
  [
    'gc',
    `entrepot gc: remove what is over the budget or too old

  --dry-run        only say what would go and why; works beside a running mirror
  --json           print data for programs
${SOURCE}

Without --dry-run the mirror has to be stopped.

Example:
  entrepot gc --dry-run`,
  ],
  [
    'verify',
    `entrepot verify: check every stored file against its digest

  --rebuild        make the catalog anew from the stored files
  --json           print data for programs
${SOURCE}

The mirror has to be stopped. It ends with 1 when something was damaged.

Example:
  entrepot verify --rebuild`,
  ],
  ...OPERATOR_USAGE,
])
